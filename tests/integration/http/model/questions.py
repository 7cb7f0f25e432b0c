"""Everything reporting is asked about one moment, and what it has to answer."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from by_the_text import by_the_text, counted, mentored_in
from drawn import CODES, FIRST, codes, scopes, turning_days
from hypothesis import strategies as st
from the_office import NOBODY, Office

from contracts.regions import all_kecamatan

type Item = dict[str, Any]
type Params = dict[str, str]

ALWAYS = datetime.max.replace(tzinfo=UTC)
NAMES: dict[str | None, str | None] = {each.code: each.name for each in all_kecamatan()} | {None: None}


@dataclass(frozen=True)
class Question:
    """What is asked, of which moment.

    `as_of` is a day, or the number of a day of which something was told, and how many days later. `known_at` is the
    number of an event, and whether just before it was recorded or when it was; or None, for now. Both count back from
    what was recorded last. `about` is the number of a cooperative.
    """

    as_of: date | tuple[int, int]
    known_at: tuple[int, bool] | None
    kecamatan_code: str
    scope: Params
    filters: Params
    limit: int
    about: int


drawn = st.builds(
    Question,
    as_of=st.one_of(
        turning_days,
        st.dates(FIRST, date(2025, 12, 31)),
        st.tuples(st.integers(0, 4), st.integers(-1, 1)),
        st.tuples(st.integers(0, 200), st.integers(-1, 1)),
    ),
    known_at=st.one_of(
        st.none(),
        st.none(),
        st.tuples(st.integers(0, 4), st.booleans()),
        st.tuples(st.integers(0, 200), st.booleans()),
    ),
    kecamatan_code=codes,
    scope=st.fixed_dictionaries({}, optional={"scope": scopes}),
    filters=st.fixed_dictionaries(
        {},
        optional={
            "kecamatan_code": codes,
            "scope": scopes,
            "status": st.sampled_from(["healthy", "on_track", "inconsistent", "lapsed", "not_yet_due"]),
            "existence": st.sampled_from(["registered", "found", "not_found", "removal_proposed", "dissolved"]),
        },
    ),
    limit=st.sampled_from([500, 100, 4, 2]),
    about=st.integers(0, 50),
)


def ask(office: Office, asked: Question) -> None:
    """Ask everything of one moment, and compare it with the text."""
    as_of, known_at = _as_of(office, asked), _known_at(office, asked)
    moment = {"as_of": str(as_of), **office.at_least}
    if known_at is not None:
        moment["known_at"] = f"{known_at:%Y-%m-%dT%H:%M:%S.%fZ}"
    known = known_at or ALWAYS
    there: dict[str, Item] = {}
    for cooperative_id, events in sorted(office.cooperatives.items()):
        if found := by_the_text(events, as_of, known):
            there[cooperative_id] = found
    mentored = [
        (events[0]["cooperative_id"], code)
        for events in office.requests.values()
        if (code := mentored_in(events, as_of, known))
    ]
    about = {cooperative_id for cooperative_id, _ in mentored}
    items = {each: _item(each, found, mentoring_open=each in about) for each, found in there.items()}
    counting = [found for found in there.values() if _fits(found, asked.scope)]
    _counts_are_right(office, asked, moment | asked.scope, counting, [code for _, code in mentored])
    wanted = [items[each] for each, found in there.items() if _fits(found, asked.filters)]
    _list_is_right(office, asked, moment, wanted)
    _one_is_right(office, asked, moment, items, known)


def _fits(found: Item, filters: Params) -> bool:
    return all(found[name] == value for name, value in filters.items())


def _counts_are_right(office: Office, asked: Question, moment: Params, kept: list[Item], mentored: list[Any]) -> None:
    answer = _get(office, "/v1/kecamatan", moment)
    expected = {
        code: counted([each for each in kept if each["kecamatan_code"] == code], mentored.count(code))
        for code in (*CODES, None)
    }
    assert answer["items"] == [
        {"kecamatan_code": code, "name": NAMES[code], **counts} for code, counts in expected.items()
    ]
    assert answer["total"] == counted(kept, len(mentored))
    assert answer["total"] == {name: sum(item[name] for item in answer["items"]) for name in answer["total"]}
    one = _get(office, f"/v1/kecamatan/{asked.kecamatan_code}", moment)
    assert one == one | expected[asked.kecamatan_code]


def _list_is_right(office: Office, asked: Question, moment: Params, wanted: list[Item]) -> None:
    found: list[Item] = []
    page = moment | asked.filters | {"limit": str(asked.limit)}
    while len(found) <= len(wanted):
        answer = _get(office, "/v1/health", page)
        assert len(answer["items"]) <= asked.limit
        found += answer["items"]
        if answer["next_cursor"] is None:
            break
        page["cursor"] = answer["next_cursor"]
    assert sorted(found, key=lambda item: item["cooperative_id"]) == wanted


def _one_is_right(office: Office, asked: Question, moment: Params, items: dict[str, Item], known: datetime) -> None:
    """Also its reasons: events of its own that were known, the registration first of all."""
    everyone = sorted(office.cooperatives) or [NOBODY]
    cooperative_id = everyone[asked.about % len(everyone)]
    path = f"/v1/health/{cooperative_id}"
    if cooperative_id not in items:
        answer = office.clients["reporting"].get(path, params=moment)
        assert answer.status_code == 404, answer.text
        return
    one = _get(office, path, moment)
    assert one == one | items[cooperative_id]
    because = one["because"]["events"]
    events = [event for event in office.cooperatives[cooperative_id] if event["at"] <= known]
    assert {events[0]["id"]} <= set(because) <= {event["id"] for event in events}
    assert len(because) == len(set(because))


def _get(office: Office, path: str, params: Params) -> dict[str, Any]:
    answer = office.clients["reporting"].get(path, params=params)
    assert answer.status_code == 200, f"{path} {params} -> {answer.status_code} {answer.text}"
    said: dict[str, Any] = answer.json()
    assert (said["as_of"], said["policy"]) == (params["as_of"], "rat-3y-2024")
    assert said["known_at"] == params.get("known_at", said["known_at"])
    assert all(said["positions"][service] >= position for service, position in office.positions.items())
    return said


def _as_of(office: Office, asked: Question) -> date:
    if isinstance(asked.as_of, date):
        return asked.as_of
    number, later = asked.as_of
    told = [day for event in _latest_first(office) for day in _days(event)]
    return told[number % len(told)] + timedelta(later) if told else FIRST


def _days(event: Item) -> list[date]:
    values = {**event, **event.get("changes", {})}.values()
    return [value for value in values if isinstance(value, date) and not isinstance(value, datetime)]


def _known_at(office: Office, asked: Question) -> datetime | None:
    times = [event["at"] for event in _latest_first(office)]
    if asked.known_at is None or not times:
        return None
    number, just_before = asked.known_at
    return times[number % len(times)] - timedelta(microseconds=just_before)


def _latest_first(office: Office) -> list[Item]:
    events = [event for events in (*office.cooperatives.values(), *office.requests.values()) for event in events]
    return sorted(events, key=lambda event: event["at"], reverse=True)


def _item(cooperative_id: str, found: Item, *, mentoring_open: bool) -> Item:
    """Return an item as it is written in JSON: "flat"."""
    names = ("name", "nik", "kecamatan_code", "village_code", "status", "existence", "book_years")
    item = {"cooperative_id": cooperative_id, "mentoring_open": mentoring_open} | {name: found[name] for name in names}
    written: Item = json.loads(json.dumps(item, default=str))
    return written
