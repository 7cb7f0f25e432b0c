"""The checker finds what is wrong with a run: each of these histories was doctored in one place."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date

import pytest

from schedules import folding
from schedules.checker import Published, Stored, added, examine
from schedules.history import Line

A, B, R = "coop-a", "coop-b", "request-a"


@dataclass
class Run:
    """A small run in which all is well: two cooperatives, a meeting, a correction, a health told, and two reads."""

    history: list[Line]
    stores: list[Stored]
    stream: list[Published]


def asked(at: float, key: str, service: str) -> Line:
    return {"at": at, "what": "asked", "key": key, "client": key[:2], "service": service, "path": f"/{key}"}


def told(at: float, key: str, position: int, subject: str, version: int) -> Line:
    answer = {"status": 201, "position": position, "subject": subject, "version": version, "again": False}
    return {"at": at, "what": "told", "key": key, **answer}


def read(at: float, positions: dict[str, int], **at_least: int) -> Line:
    return {
        "at": at, "what": "read", "client": "r0", "service": "reporting", "path": "/v1/health/a", "status": 200,
        "begun": at - 0.1, "positions": positions, "at_least": at_least,
    }  # fmt: skip


def stored(service: str, position: int, subject: str, version: int, type_: str, key: str | None) -> Stored:
    return Stored(service, position, f"{service}-{position}", subject, service, version, type_, key)


def a_run() -> Run:
    stores = [
        stored("registry", 1, A, 1, "CooperativeRegistered", "w0-0"),
        stored("registry", 2, B, 1, "CooperativeRegistered", "w1-0"),
        stored("registry", 3, A, 2, "CooperativeCorrected", "w1-1"),
        stored("rat", 1, A, 1, "RATHeld", "w0-1"),
        stored("reporting", 1, A, 1, "HealthStatusChanged", None),
        stored("reporting", 2, A, 2, "HealthStatusChanged", None),
    ]
    health = iter([{"from": None, "to": "lapsed"}, {"from": "lapsed", "to": "on_track"}])
    stream = [
        Published(
            place, each.service, each.position, each.id, each.subject, each.type,
            next(health) if each.service == "reporting" else {},
        )
        for place, each in enumerate(stores, 1)
    ]  # fmt: skip
    history = [
        asked(1.0, "w0-0", "registry"),
        told(1.2, "w0-0", 1, A, 1),
        asked(1.3, "w1-0", "registry"),
        asked(1.3, "w0-1", "rat"),
        {"at": 1.4, "what": "unanswered", "key": "w1-0", "why": "ReadTimeout"},
        told(1.5, "w0-1", 1, A, 1),
        {"at": 1.6, "what": "broke", "fault": "kill", "about": "kill nats", "kills": 1},
        told(1.9, "w1-0", 2, B, 1),
        {**told(1.95, "w1-0", 2, B, 1), "again": True},
        read(2.0, {"registry": 1, "rat": 1}),
        asked(2.0, "w1-1", "registry"),
        told(2.5, "w1-1", 3, A, 2),
        read(3.0, {"registry": 3, "rat": 1}, registry=3),
    ]
    return Run(history, stores, stream)


def problems(run: Run) -> set[str]:
    return {kind for kind, _ in examine(run.history, run.stores, run.stream).problems}


def test_a_run_in_which_all_is_well_has_no_problems_and_these_figures() -> None:
    run = a_run()
    verdict = examine(run.history, run.stores, run.stream)
    assert verdict.problems == []
    assert verdict.figures | {"faults": {"kill": 1}} == {
        "seconds": 3, "commands": 4, "attempts": 6, "unanswered attempts": 1, "acknowledged": 4, "refused": 0,
        "reads": 2, "lost": 0, "doubled": 0, "other problems": 0, "longest pause in writes (s)": 0.6,
        "longest pause in reads (s)": 1.0, "kills": 1, "cuts": 0, "faults": {"kill": 1},
    }  # fmt: skip
    assert added([verdict.figures, verdict.figures])["acknowledged"] == 8
    assert added([verdict.figures, verdict.figures])["longest pause in reads (s)"] == 1.0


def test_a_pause_that_lasts_to_the_end_of_the_work_is_one_too() -> None:
    run = a_run()
    refused = {"at": 60.0, "what": "told", "key": "w0-2", "status": 409, "again": False, "text": ""}
    mended = {"at": 50.0, "what": "mended", "fault": "kill", "about": "kill nats"}
    run.history.extend([asked(3.5, "w0-2", "rat"), mended, refused])
    figures = examine(run.history, run.stores, run.stream).figures
    assert figures["longest pause in writes (s)"] == 57.5
    assert figures["longest pause in reads (s)"] == 47.0


def lose_from_store(run: Run) -> None:
    del run.stores[2], run.stream[2]


def lose_from_stream(run: Run) -> None:
    del run.stream[2]


def lose_the_last_of_the_stream(run: Run) -> None:
    # What a power loss does to a stream that is not synced: nothing is left to show that something was there.
    del run.stream[3]


def tell_another_place(run: Run) -> None:
    run.history[1]["position"] = 2


def double_in_store(run: Run) -> None:
    run.stores.append(stored("registry", 4, B, 2, "CooperativeCorrected", "w1-1"))
    run.stream.append(Published(7, "registry", 4, "registry-4", B, "CooperativeCorrected"))


def double_in_another_store(run: Run) -> None:
    run.stores.append(stored("rat", 2, B, 1, "RATHeld", "w0-1"))
    run.stream.append(Published(7, "rat", 2, "rat-2", B, "RATHeld"))


def double_on_stream(run: Run) -> None:
    run.stream.append(replace(run.stream[1], place=7))


def double_by_a_reaction(run: Run) -> None:
    for number in (2, 3):
        follows = replace(stored("rat", number, B, number - 1, "RATHeld", None), cause="registry-2")
        run.stores.append(follows)
        run.stream.append(Published(5 + number, "rat", number, follows.id, B, "RATHeld"))


def announce_twice(run: Run) -> None:
    run.stream[5].data["from"] = None  # type: ignore[index]


def swap_on_stream(run: Run) -> None:
    run.stream[0], run.stream[1] = replace(run.stream[1], place=1), replace(run.stream[0], place=2)


def renumber_on_stream(run: Run) -> None:
    run.stream[0], run.stream[1] = replace(run.stream[0], sequence=2), replace(run.stream[1], sequence=1)


def skip_a_number(run: Run) -> None:
    run.stores[3] = replace(run.stores[3], position=2)
    run.stream[3] = replace(run.stream[3], sequence=2)
    run.history[5]["position"] = 2


def skip_a_version(run: Run) -> None:
    run.stores[2] = replace(run.stores[2], version=3)
    run.history[11]["version"] = 3


def number_against_time(run: Run) -> None:
    # w1-1 was asked after w1-0 was told, and got the lower number.
    run.history[7] |= {"position": 3}
    run.history[8] |= {"position": 3}
    run.history[11] |= {"position": 2}
    run.stores[1], run.stores[2] = replace(run.stores[1], position=3), replace(run.stores[2], position=2)


def answer_a_repetition_otherwise(run: Run) -> None:
    run.history[8]["version"] = 2


def refuse_what_was_done(run: Run) -> None:
    run.history[11] = {"at": 2.5, "what": "told", "key": "w1-1", "status": 409, "again": False}


def never_answer(run: Run) -> None:
    del run.history[11]


def do_what_nobody_asked(run: Run) -> None:
    run.stores.append(stored("rat", 2, B, 1, "RATHeld", "w9-9"))
    run.stream.append(Published(7, "rat", 2, "rat-2", B, "RATHeld"))


def publish_what_nobody_stored(run: Run) -> None:
    run.stream.append(Published(7, "rat", 2, "rat-2", B, "RATHeld"))


def read_backwards(run: Run) -> None:
    run.history[12]["positions"] = {"registry": 3, "rat": 0}


def read_too_early(run: Run) -> None:
    run.history[12]["positions"] = {"registry": 2, "rat": 1}


def read_what_is_gone(run: Run) -> None:
    run.history[12]["status"] = 404


def fail(run: Run) -> None:
    run.history.append({"at": 4, "what": "failed", "service": "rat", "path": "/", "status": 500, "text": "?"})


@pytest.mark.parametrize(
    ("doctor", "found"),
    [
        (lose_from_store, "lost"),
        (lose_from_stream, "lost"),
        (lose_the_last_of_the_stream, "lost"),
        (tell_another_place, "lost"),
        (double_in_store, "doubled"),
        (double_in_another_store, "doubled"),
        (double_on_stream, "doubled"),
        (double_by_a_reaction, "doubled"),
        (announce_twice, "doubled"),
        (swap_on_stream, "order"),
        (renumber_on_stream, "order"),
        (skip_a_number, "order"),
        (skip_a_version, "order"),
        (number_against_time, "order"),
        (answer_a_repetition_otherwise, "another answer"),
        (refuse_what_was_done, "refused yet done"),
        (never_answer, "no answer"),
        (do_what_nobody_asked, "unasked"),
        (publish_what_nobody_stored, "unstored"),
        (read_backwards, "went back"),
        (read_too_early, "too early"),
        (read_what_is_gone, "unreadable"),
        (fail, "failed"),
    ],
)
def test_what_was_doctored_is_found(doctor: Callable[[Run], None], found: str) -> None:
    run = deepcopy(a_run())
    doctor(run)
    assert found in problems(run)


def test_a_read_model_that_is_not_the_fold_of_the_stream_is_found() -> None:
    registered = {
        "name": "Koperasi Contoh", "nik": None, "kecamatan_code": "35.07.21", "village_code": None,
        "legal_entity_date": "2015-08-03", "tier": "primary", "scope": "regency",
    }  # fmt: skip
    stream = [
        Published(1, "registry", 1, "e1", A, "CooperativeRegistered", registered),
        Published(2, "rat", 1, "e2", A, "RATHeld", {"book_year": 2023, "held_on": "2024-02-01", "source": "office"}),
        Published(
            3, "mentoring", 1, "e3", R, "MentoringRequested",
            {"received_on": "2024-05-05", "kecamatan_code": "35.07.16"},
        ),
    ]  # fmt: skip
    day = date(2024, 11, 14)
    items = [
        {
            **registered, "cooperative_id": A, "existence": "registered", "status": "inconsistent",
            "book_years": [{"book_year": year, "state": state}
                           for year, state in ((2021, "missed"), (2022, "missed"), (2023, "on_time"))],
        }
    ]  # fmt: skip
    kecamatan = [{"kecamatan_code": code, **numbers} for code, numbers in folding.counts(stream, day).items()]
    assert {each["kecamatan_code"]: each["mentoring_open"] for each in kecamatan} == {"35.07.21": 0, "35.07.16": 1}
    assert folding.differences(stream, day, items, kecamatan) == []

    assert folding.differences(stream, day, [], kecamatan) == [f"{A} is not shown"]
    assert folding.differences(stream, day, [items[0] | {"status": "lapsed"}], kecamatan)
    assert folding.differences(stream, day, [*items, items[0] | {"cooperative_id": B}], kecamatan)
    assert folding.differences(stream, day, items, kecamatan[:1])
    assert folding.differences(stream, day, items, [kecamatan[0] | {"registered": 2}, kecamatan[1]])
    late = items[0] | {"book_years": [*items[0]["book_years"][:2], {"book_year": 2023, "state": "late"}]}
    assert folding.differences(stream, day, [late], kecamatan)
