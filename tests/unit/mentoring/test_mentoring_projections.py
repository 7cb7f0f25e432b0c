"""What the lists of the mentoring service hold after the events."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from chassis.definitions.projection import Received
from contracts import mentoring, rat, registry
from contracts.envelope import PublicEvent
from services.mentoring.projections import calendar, cooperatives, meetings, requests
from services.mentoring.projections.calendar import CalendarRow
from services.mentoring.projections.cooperatives import CooperativeRow
from services.mentoring.projections.requests import RequestRow

REQUEST = UUID("01930000-0000-7000-8000-000000000001")
COOPERATIVE = UUID("01930000-0000-7000-8000-000000000002")


def received(sequence: int, subject: UUID, event: PublicEvent) -> Received[PublicEvent]:
    """Return an event as a fold meets it."""
    id = str(UUID(int=sequence))
    time = datetime(2024, 11, 4, tzinfo=UTC)
    return Received(event.service, event.type_name(), sequence, id, str(subject), sequence, time, event)


REGISTERED = registry.CooperativeRegistered(
    cooperative_id=COOPERATIVE,
    kecamatan_code="35.07.21",
    name="KSP Contoh",
    legal_entity_number="1",
    legal_entity_date=None,
)


def test_a_registered_cooperative_is_known() -> None:
    rows = cooperatives.projection.fold([received(1, COOPERATIVE, REGISTERED)])
    assert rows == {COOPERATIVE: CooperativeRow(COOPERATIVE, "KSP Contoh")}


def test_a_cooperative_is_known_under_its_newest_name() -> None:
    renamed = registry.CooperativeCorrected(
        cooperative_id=COOPERATIVE, kecamatan_code="35.07.21", changes={"name": "KSP Lain"}, reason="akta"
    )
    changed = registry.MinistryRecordChanged(
        cooperative_id=COOPERATIVE, kecamatan_code="35.07.21", changes={"members_total": 3}, source="ods"
    )
    events = [
        received(1, COOPERATIVE, REGISTERED),
        received(2, COOPERATIVE, renamed),
        received(3, COOPERATIVE, changed),
    ]
    assert cooperatives.projection.fold(events) == {COOPERATIVE: CooperativeRow(COOPERATIVE, "KSP Lain")}


ABOUT: dict[str, Any] = {"request_id": REQUEST, "cooperative_id": COOPERATIVE, "kecamatan_code": "35.07.19"}
ASKED = mentoring.MentoringRequested(
    **ABOUT,
    village_code="35.07.19.2005",
    category="rat",
    channel="letter",
    letter_date=date(2024, 10, 31),
    received_on=date(2024, 11, 4),
)
ACCEPTED = mentoring.MentoringAccepted(**ABOUT, accepted_on=date(2024, 11, 6), visit_on=date(2024, 11, 20))
DECLINED = mentoring.MentoringDeclined(**ABOUT, declined_on=date(2024, 11, 6))
REDIRECTED = mentoring.MentoringRedirected(**ABOUT, redirected_on=date(2024, 11, 6))
VISITED = mentoring.MentoringActivityHeld(**ABOUT, kind="visit", held_on=date(2024, 11, 12))
FORGOTTEN = mentoring.MentoringPeopleForgotten(**ABOUT, forgotten_on=date(2024, 12, 24))


def completed(on: date) -> mentoring.MentoringCompleted:
    """Return that the mentoring was over on a day."""
    return mentoring.MentoringCompleted(**ABOUT, outcome="rat_held", completed_on=on)


def told(*events: PublicEvent, about: UUID = REQUEST) -> list[Received[PublicEvent]]:
    """Return events about one subject as a fold meets them, numbered from 1."""
    return [received(number, about, event) for number, event in enumerate(events, start=1)]


def test_a_request_is_listed_under_its_own_location() -> None:
    assert requests.projection.fold(told(ASKED)) == {
        REQUEST: RequestRow(
            request_id=REQUEST,
            cooperative_id=COOPERATIVE,
            kecamatan_code="35.07.19",
            village_code="35.07.19.2005",
            category="rat",
            channel="letter",
            letter_date=date(2024, 10, 31),
            received_on=date(2024, 11, 4),
            state="requested",
        )
    }


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([ACCEPTED], "accepted"),
        ([ACCEPTED, VISITED], "accepted"),
        ([ACCEPTED, VISITED, FORGOTTEN], "accepted"),
        ([DECLINED], "declined"),
        ([REDIRECTED], "redirected"),
        ([ACCEPTED, VISITED, completed(date(2024, 11, 13))], "completed"),
    ],
)
def test_a_request_is_listed_in_the_state_it_is_in(events: list[PublicEvent], state: str) -> None:
    rows = requests.projection.fold(told(ASKED, *events))
    assert [row.state for row in rows.values()] == [state]


def test_the_calendar_has_the_planned_visit_and_every_activity() -> None:
    rows = calendar.projection.fold(told(ASKED, ACCEPTED, VISITED))
    planned = CalendarRow(REQUEST, REQUEST, COOPERATIVE, "35.07.19", date(2024, 11, 20), "visit", "planned")
    held = CalendarRow(UUID(int=3), REQUEST, COOPERATIVE, "35.07.19", date(2024, 11, 12), "visit", "held")
    assert rows == {REQUEST: planned, UUID(int=3): held}


def test_a_visit_that_will_not_be_made_any_more_leaves_the_calendar_and_one_that_was_due_stays() -> None:
    for over_on, left in [(date(2024, 11, 19), []), (date(2024, 11, 20), [REQUEST]), (date(2024, 12, 1), [REQUEST])]:
        assert list(calendar.projection.fold(told(ASKED, ACCEPTED, completed(over_on)))) == left


def held(book_year: int, on: date) -> rat.RATHeld:
    """Return that the cooperative held its meeting for a book year."""
    return rat.RATHeld(
        cooperative_id=COOPERATIVE, kecamatan_code="35.07.21", book_year=book_year, held_on=on, source="office"
    )


def test_a_meeting_is_known_by_its_book_year_as_it_was_corrected_last_until_it_is_annulled() -> None:
    about: dict[str, Any] = {"cooperative_id": COOPERATIVE, "kecamatan_code": "35.07.21", "book_year": 2023}
    corrected = rat.RATCorrected(**about, changes={"held_on": "2024-03-02"}, reason="daftar hadir")
    counted = rat.RATCorrected(**about, changes={"members_present": 12}, reason="daftar hadir")
    annulled = rat.RATAnnulled(**about, reason="koperasi lain")
    story = [held(2022, date(2023, 2, 1)), held(2023, date(2024, 2, 1)), corrected, counted, annulled]

    def known(events: Sequence[PublicEvent]) -> list[tuple[int, date]]:
        rows = meetings.projection.fold(told(*events, about=COOPERATIVE))
        assert all(row.cooperative_id == COOPERATIVE for row in rows.values())
        return [(row.book_year, row.held_on) for row in rows.values()]

    assert known(story[:2]) == [(2022, date(2023, 2, 1)), (2023, date(2024, 2, 1))]
    assert known(story[:4]) == [(2022, date(2023, 2, 1)), (2023, date(2024, 3, 2))]
    assert known(story) == [(2022, date(2023, 2, 1))]
    assert known([*story, held(2023, date(2024, 4, 1))]) == [(2022, date(2023, 2, 1)), (2023, date(2024, 4, 1))]
    assert known([corrected, annulled]) == []
