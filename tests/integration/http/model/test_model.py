"""Whatever the office does, in whatever order: reporting answers what the text says follows, for any past.

Commands and questions are random, go through HTTP to the four services, and are shrunk when an answer is wrong. Without
DINKOP_MODEL_EXAMPLES, which sets how many histories are tried, they are the same ones every time; with it, others
(`--hypothesis-seed` repeats them).
"""

import asyncio
import os
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial, wraps
from typing import Any

import drawn
import httpx
import questions
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test
from questions import Question
from system import System
from the_office import NOBODY, Office

type Body = dict[str, Any]
type Day = tuple[int, int, int]
type Tracings = list[tuple[date, str]]
type Course = list[tuple[str, int]]
type Run = tuple[int, list[tuple[Day, Body]]]

EXAMPLES = os.environ.get("DINKOP_MODEL_EXAMPLES")


def step(**drawn_of: Any) -> Callable[[Callable[..., Any]], Any]:
    """Declare something the office does; a question is asked after it."""

    def declared(method: Callable[..., Any]) -> Any:
        @wraps(method)
        def then_asked(machine: "Regency", asked: Question, **given: Any) -> Any:
            done = method(machine, **given)
            questions.ask(machine.office, asked)
            return multiple() if done is None and "target" in drawn_of else done

        return rule(**drawn_of, asked=questions.drawn)(then_asked)

    return declared


class Regency(RuleBasedStateMachine):
    """One office's history, on read models that know of nothing else."""

    cooperatives = Bundle("cooperatives")
    requests = Bundle("requests")

    def __init__(self, system: System, clients: dict[str, httpx.Client], positions: dict[str, int]) -> None:
        super().__init__()
        self.office = Office(clients, positions)
        # Once all of the last history has arrived it is forgotten, so that this one is judged, and shrunk, alone.
        assert clients["reporting"].get("/v1/kecamatan", params=self.office.at_least).status_code == 200
        asyncio.run(system.execute("reporting", "DELETE FROM health_status_g1.health_status"))

    # ------------------------------------------------------------ what the office does

    @initialize(
        target=cooperatives,
        told=st.lists(st.tuples(drawn.registrations, drawn.runs_of_meetings), min_size=1, max_size=6),
        stranger=st.sampled_from([[], [], [NOBODY]]),
    )
    def begin(self, told: list[tuple[Body, Run]], stranger: list[str]) -> Any:
        """With some cooperatives that have met, and perhaps one that nobody has ever heard of."""
        known = [(cooperative_id, run) for body, run in told if (cooperative_id := self.registered(body))]
        for cooperative_id, run in known:
            self.met(cooperative_id, run)
        return multiple(*(cooperative_id for cooperative_id, _ in known), *stranger)

    @step(target=cooperatives, body=drawn.registrations)
    def register(self, body: Body) -> str | None:
        return self.registered(body)

    @step(target=cooperatives, listing=drawn.listings)
    def register_by_import(self, listing: Body) -> str | None:
        return self.office.import_listing(NOBODY, listing)

    @step(cooperative_id=cooperatives, listing=drawn.listings)
    def change_by_import(self, cooperative_id: str, listing: Body) -> None:
        if cooperative_id != NOBODY:
            self.office.import_listing(cooperative_id, listing)

    @step(cooperative_id=cooperatives, changes=drawn.corrections)
    def correct(self, cooperative_id: str, changes: Body) -> None:
        if changes.get("nik"):
            changes = changes | {"nik": self.office.nik(changes["nik"])}
        self.office.correct(cooperative_id, changes)

    @step(cooperative_id=cooperatives, bodies=st.lists(drawn.relocations, min_size=1, max_size=3))
    def relocate(self, cooperative_id: str, bodies: list[Body]) -> None:
        for body in bodies:
            self.office.relocate(cooperative_id, body)

    @step(cooperative_id=cooperatives, tracings=drawn.tracings)
    def trace(self, cooperative_id: str, tracings: Tracings) -> None:
        self.traced(cooperative_id, tracings)

    @step(cooperative_id=cooperatives, tracings=drawn.vain, proposed_on=drawn.lately, decision=drawn.decisions)
    def remove(
        self, cooperative_id: str, tracings: Tracings, proposed_on: date, decision: tuple[str, int] | None
    ) -> None:
        """Or try to: that it was traced in vain may not suffice, and the Ministry may refuse, or not have decided."""
        self.traced(cooperative_id, tracings)
        self.office.propose_removal(cooperative_id, proposed_on)
        if decision:
            what, later = decision
            self.office.decide_removal(cooperative_id, what, proposed_on + timedelta(later))

    @step(cooperative_id=cooperatives, run=drawn.runs_of_meetings, revisions=drawn.revisions)
    def hold_meetings(self, cooperative_id: str, run: Run, revisions: list[tuple[str, int, Day, Body]]) -> None:
        """And look at some records again, these or older ones."""
        self.met(cooperative_id, run)
        for what, which, day, minutes in revisions:
            self.revised(cooperative_id, what, self.book_year(cooperative_id, which), day, minutes)

    @step(cooperative_id=cooperatives, held_on=drawn.some_day, grade=st.sampled_from(["A", "A", "B"]))
    def import_meeting(self, cooperative_id: str, held_on: date, grade: str) -> None:
        if cooperative_id != NOBODY:
            self.office.import_meeting(cooperative_id, held_on, grade)

    @step(target=requests, cooperative_id=st.none() | cooperatives, told=drawn.requests)
    def ask_mentoring(self, cooperative_id: str | None, told: list[tuple[str, date, Course]]) -> Any:
        asked = []
        for code, received_on, course in told:
            body = {"kecamatan_code": code, "received_on": received_on}
            if request_id := self.office.ask_mentoring(cooperative_id, body):
                self.answered(request_id, course)
                asked.append(request_id)
        return multiple(*asked)

    @step(request_id=requests, course=drawn.courses)
    def answer_request(self, request_id: str, course: Course) -> None:
        self.answered(request_id, course)

    # ------------------------------------------------------------ what is done in several of these

    def registered(self, body: Body) -> str | None:
        number, nik = body["number"], body["nik"]
        written = self.office.legal_entity_number(number)
        told = {name: value for name, value in body.items() if name != "number"} | {
            "legal_entity_number": written if number % 2 else f" {written.lower()} ".replace("/", " / "),
            "nik": self.office.nik(nik) if nik else None,
        }
        return self.office.register(told)

    def traced(self, cooperative_id: str, tracings: Tracings) -> None:
        for traced_on, finding in tracings:
            self.office.trace(cooperative_id, traced_on, finding)

    def met(self, cooperative_id: str, run: Run) -> None:
        first, meetings = run
        for book_year, (day, minutes) in enumerate(meetings, first):
            body = {"book_year": book_year, "held_on": drawn.day_after(book_year, day), **minutes}
            self.office.record_meeting(cooperative_id, body)

    def revised(self, cooperative_id: str, what: str, book_year: int, day: Day, minutes: Body) -> None:
        held_on = drawn.day_after(book_year, day)
        if what == "verify":
            self.office.verify_meeting(cooperative_id, book_year, held_on)
        elif what == "correct":
            self.office.correct_meeting(cooperative_id, book_year, {"held_on": held_on, **minutes})
        else:
            self.office.annul_meeting(cooperative_id, book_year)
            if what == "record anew":
                self.met(cooperative_id, (book_year, [(day, minutes)]))

    def book_year(self, cooperative_id: str, which: int) -> int:
        """Return a book year of which a meeting was recorded, if there is one."""
        events = self.office.cooperatives.get(cooperative_id, [])
        recorded = sorted({event["book_year"] for event in events if event["what"] == "held"})
        return recorded[which % len(recorded)] if recorded else which

    def answered(self, request_id: str, course: Course) -> None:
        day = self.office.requests[request_id][-1]["on"]
        for what, later in course:
            day += timedelta(later)
            self.office.answer_request(request_id, what, {"on": day})


def test_every_answer_is_the_one_that_follows_by_the_text(system: System, clients: dict[str, httpx.Client]) -> None:
    run_state_machine_as_test(
        partial(Regency, system, clients, {}),
        settings=settings(
            max_examples=int(EXAMPLES or 8),
            stateful_step_count=40,
            derandomize=not EXAMPLES,
            deadline=None,
            phases=set(Phase) - {Phase.explain},
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
