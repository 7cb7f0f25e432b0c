"""Issuing a report, acknowledging it, following it up."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from chassis.definitions.decider import Invalid
from chassis.testing.decider_spec import DeciderSpec
from services.reporting.domain import camat_report_issue as issue
from services.reporting.domain.camat_report_issue import (
    AcknowledgeCamatReport,
    CamatFollowUpRecorded,
    CamatReportAcknowledged,
    CamatReportIssued,
    IssueCamatReport,
    RecordCamatFollowUp,
    standing_day,
)
from services.reporting.domain.camat_report_numbers import Numbers
from services.reporting.domain.counts import Counts

spec = DeciderSpec(issue.decider)

WAGIR = "35.07.21"
MELATI, ANGGREK = UUID(int=1), UUID(int=2)
FROZEN: dict[str, Any] = {
    "kecamatan_code": WAGIR,
    "period": "2024-Q3",
    "issued_on": date(2024, 10, 7),
    "known_at": datetime(2024, 10, 7, 3, tzinfo=UTC),
    "positions": {"registry": 4, "rat": 9},
    "policy": "rat-3y-2024",
    "numbers": Numbers.of(Counts(registered=1, not_yet_due=1)),
    "documents": {"pdf": "ab" * 32},
    "cooperatives": (MELATI,),
}
PDF = {"sha256": "ab" * 32}
issued = CamatReportIssued(**FROZEN, **PDF, as_of=date(2024, 9, 30))
acknowledged = CamatReportAcknowledged(kecamatan_code=WAGIR, acknowledged_on=date(2024, 10, 9))


def issuing(**different: Any) -> IssueCamatReport:
    return IssueCamatReport(**{**FROZEN, "today": date(2024, 10, 7), **different})


def acknowledging(day: date, today: date = date(2024, 11, 14)) -> AcknowledgeCamatReport:
    return AcknowledgeCamatReport(acknowledged_on=day, today=today)


def following_up(**different: Any) -> RecordCamatFollowUp:
    given = {
        "cooperative_id": MELATI,
        "action": "Kunjungan",
        "done_on": date(2024, 10, 20),
        "notes": "Pengurus bersedia RAT",
        "today": date(2024, 11, 14),
    }
    return RecordCamatFollowUp(**{**given, **different})


def test_a_report_shows_the_last_day_of_its_period() -> None:
    spec.given().when(issuing()).then(issued)


def test_while_its_period_runs_a_report_shows_the_day_it_is_issued_on() -> None:
    running = issuing(period="2024-Q4")
    spec.given().when(running).then(
        CamatReportIssued(**{**FROZEN, **PDF, "period": "2024-Q4"}, as_of=date(2024, 10, 7))
    )


def test_a_period_that_has_not_begun_is_not_reported_on() -> None:
    refusal = spec.given().when(issuing(period="2025-Q1")).then_refused(issue.PeriodNotBegun, "period")
    assert "2025-01-01" in refusal.detail


def test_the_first_day_of_a_period_can_be_reported_on() -> None:
    assert standing_day("2024-Q4", date(2024, 10, 1), date(2024, 10, 1)) == date(2024, 10, 1)


def test_nothing_is_issued_on_a_day_to_come() -> None:
    spec.given().when(issuing(issued_on=date(2024, 10, 8))).then_refused(issue.IssuedInTheFuture, "issued_on")


def test_what_is_no_period_is_refused() -> None:
    spec.given().when(issuing(period="2024-Q5")).then_refused(issue.NoSuchPeriod, "period")


def test_a_kecamatan_gets_one_report_for_a_period() -> None:
    spec.given(issued).when(issuing()).then_refused(issue.AlreadyIssued)
    spec.given(issued, acknowledged).when(issuing()).then_refused(issue.AlreadyIssued)


def test_every_kecamatan_and_period_has_a_report_of_its_own() -> None:
    ids = {issue.report_id(code, period) for code in (WAGIR, "35.07.16") for period in ("2024-Q3", "2024-Q4")}
    assert len(ids) == 4
    assert issue.report_id(WAGIR, "2024-Q3") == issue.report_id(WAGIR, "2024-Q3")


def test_a_camat_acknowledges_a_report() -> None:
    spec.given(issued).when(acknowledging(date(2024, 10, 9))).then(acknowledged)
    spec.given(issued).when(acknowledging(issued.issued_on)).then(
        CamatReportAcknowledged(kecamatan_code=WAGIR, acknowledged_on=issued.issued_on)
    )


def test_a_report_is_acknowledged_once() -> None:
    spec.given(issued, acknowledged).when(acknowledging(date(2024, 10, 10))).then_refused(issue.AlreadyAcknowledged)


@pytest.mark.parametrize(
    ("day", "rule"),
    [(date(2024, 10, 6), issue.AcknowledgedBeforeIssue), (date(2024, 11, 15), issue.AcknowledgedInTheFuture)],
)
def test_a_report_is_acknowledged_between_its_issue_and_today(day: date, rule: type[Invalid]) -> None:
    spec.given(issued).when(acknowledging(day)).then_refused(rule, "acknowledged_on")


def test_a_follow_up_is_written_down_also_before_the_report_is_acknowledged() -> None:
    recorded = CamatFollowUpRecorded(
        kecamatan_code=WAGIR,
        cooperative_id=MELATI,
        action="Kunjungan",
        done_on=date(2024, 10, 20),
        notes="Pengurus bersedia RAT",
    )
    spec.given(issued).when(following_up()).then(recorded)
    spec.given(issued, acknowledged, recorded).when(following_up()).then(recorded)


def test_a_follow_up_is_about_a_cooperative_of_the_report() -> None:
    spec.given(issued).when(following_up(cooperative_id=ANGGREK)).then_refused(issue.NotOnTheReport, "cooperative_id")


def test_a_follow_up_is_not_written_down_ahead_of_time() -> None:
    spec.given(issued).when(following_up(done_on=date(2024, 11, 15))).then_refused(issue.DoneInTheFuture, "done_on")


def test_what_was_never_issued_is_neither_acknowledged_nor_followed_up() -> None:
    spec.given().when(acknowledging(date(2024, 10, 9))).then_refused(issue.NoSuchReport)
    spec.given().when(following_up()).then_refused(issue.NoSuchReport)
