"""One issued camat report: frozen when it is issued, then acknowledged by the camat and followed up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal, assert_never
from uuid import NAMESPACE_URL, UUID, uuid5

from chassis.definitions.decider import Command, Decider, Event, Invalid, Missing, Rejection
from services.reporting.domain.camat_report_numbers import Numbers
from services.reporting.domain.camat_report_period import Period, period

type Format = Literal["json", "html", "csv", "xlsx", "pdf"]

_REPORTS = uuid5(NAMESPACE_URL, "urn:dinkop:camat-reports")


def report_id(kecamatan_code: str, period_name: str) -> UUID:
    """Return the id of the one report that a kecamatan has for a period."""
    return uuid5(_REPORTS, f"{kecamatan_code}/{period_name}")


# ---------------------------------------------------------------- events: stored for ever


class CamatReportIssued(Event):
    """A report was frozen. `documents` has the SHA-256 of its bytes in each format, `sha256` that of its PDF.

    `positions` are the last events it knows of, per service; `cooperatives` those it lists.
    """

    kecamatan_code: str
    period: str
    issued_on: date
    as_of: date
    known_at: datetime
    positions: dict[str, int]
    policy: str
    numbers: Numbers
    sha256: str
    documents: dict[Format, str]
    cooperatives: tuple[UUID, ...]


class CamatReportAcknowledged(Event):
    """The camat confirmed having received the report."""

    kecamatan_code: str
    acknowledged_on: date


class CamatFollowUpRecorded(Event):
    """The camat, or somebody for them, did something about a cooperative of the report."""

    kecamatan_code: str
    cooperative_id: UUID
    action: str
    done_on: date
    notes: str | None = None


type CamatReportEvent = CamatReportIssued | CamatReportAcknowledged | CamatFollowUpRecorded

# ---------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class IssuedReport:
    """A report as it stands; `issued` is None before it was issued."""

    issued: CamatReportIssued | None = None
    acknowledged: bool = False


def evolve(state: IssuedReport, event: CamatReportEvent) -> IssuedReport:
    """Return the report after the event."""
    match event:
        case CamatReportIssued():
            return IssuedReport(issued=event)
        case CamatReportAcknowledged():
            return replace(state, acknowledged=True)
        case CamatFollowUpRecorded():
            return state
        case _:
            assert_never(event)


# ---------------------------------------------------------------- commands and rules


class IssueCamatReport(Command):
    """Freeze the report of a kecamatan for a period."""

    kecamatan_code: str
    period: str
    issued_on: date
    today: date
    known_at: datetime
    positions: dict[str, int]
    policy: str
    numbers: Numbers
    documents: dict[Format, str]
    cooperatives: tuple[UUID, ...]


class AcknowledgeCamatReport(Command):
    """Say that the camat has the report."""

    acknowledged_on: date
    today: date


class RecordCamatFollowUp(Command):
    """Write down what was done about a cooperative of the report."""

    cooperative_id: UUID
    action: str
    done_on: date
    notes: str | None
    today: date


type CamatReportCommand = IssueCamatReport | AcknowledgeCamatReport | RecordCamatFollowUp


class NoSuchReport(Missing):
    """There is no issued report with this id."""


class AlreadyIssued(Rejection):
    """A kecamatan gets one report for a period."""


class AlreadyAcknowledged(Rejection):
    """A report is acknowledged once."""


class NoSuchPeriod(Invalid):
    """A period is a quarter such as 2026-Q3, a semester such as 2026-S1 or a month such as 2026-07."""


class PeriodNotBegun(Invalid):
    """A report can't be issued before its period has begun."""


class IssuedInTheFuture(Invalid):
    """A report can't be issued on a day to come."""


class AcknowledgedInTheFuture(Invalid):
    """A report can't be acknowledged on a day to come."""


class AcknowledgedBeforeIssue(Invalid):
    """A report can't be acknowledged before it was issued."""


class DoneInTheFuture(Invalid):
    """A follow-up is written down once it is done."""


class NotOnTheReport(Invalid):
    """A follow-up is about a cooperative that the report lists."""


def standing_day(period_name: str, issued_on: date, today: date) -> date:
    """Return the day whose state a report issued on a day shows: the period's last, or that day while it runs.

    A running period can be reported on, since a report of the second quarter is what reminds of 30 June.
    Raises NoSuchPeriod, IssuedInTheFuture, PeriodNotBegun.
    """
    if issued_on > today:
        raise IssuedInTheFuture("issued_on")
    reported = _period(period_name)
    if issued_on < reported.first:
        raise PeriodNotBegun("period", f"{period_name} begins on {reported.first}: report on it from that day on.")
    return min(reported.last, issued_on)


def _period(name: str) -> Period:
    try:
        return period(name)
    except ValueError:
        raise NoSuchPeriod("period") from None


def decide(command: CamatReportCommand, state: IssuedReport) -> Sequence[CamatReportEvent]:
    """Return what happens, or raise the rule that forbids it."""
    match command:
        case IssueCamatReport():
            return issue(command, state)
        case AcknowledgeCamatReport():
            return acknowledge(command, state)
        case RecordCamatFollowUp():
            return follow_up(command, state)
        case _:
            assert_never(command)


def issue(command: IssueCamatReport, state: IssuedReport) -> Sequence[CamatReportIssued]:
    """Freeze the report."""
    if state.issued:
        raise AlreadyIssued(f"The report of {command.kecamatan_code} for {command.period} is issued already.")
    as_of = standing_day(command.period, command.issued_on, command.today)
    given: dict[str, Any] = {name: value for name, value in command if name != "today"}
    return [CamatReportIssued(**given, as_of=as_of, sha256=command.documents["pdf"])]


def acknowledge(command: AcknowledgeCamatReport, state: IssuedReport) -> Sequence[CamatReportAcknowledged]:
    """Write down that it was received."""
    issued = _issued(state)
    if state.acknowledged:
        raise AlreadyAcknowledged
    if command.acknowledged_on > command.today:
        raise AcknowledgedInTheFuture("acknowledged_on")
    if command.acknowledged_on < issued.issued_on:
        raise AcknowledgedBeforeIssue("acknowledged_on", f"It was issued on {issued.issued_on}.")
    return [CamatReportAcknowledged(kecamatan_code=issued.kecamatan_code, acknowledged_on=command.acknowledged_on)]


def follow_up(command: RecordCamatFollowUp, state: IssuedReport) -> Sequence[CamatFollowUpRecorded]:
    """Write down what was done; a camat may have acted before the report was issued or acknowledged."""
    issued = _issued(state)
    if command.cooperative_id not in issued.cooperatives:
        raise NotOnTheReport("cooperative_id")
    if command.done_on > command.today:
        raise DoneInTheFuture("done_on")
    return [
        CamatFollowUpRecorded(
            kecamatan_code=issued.kecamatan_code,
            cooperative_id=command.cooperative_id,
            action=command.action,
            done_on=command.done_on,
            notes=command.notes,
        )
    ]


def _issued(state: IssuedReport) -> CamatReportIssued:
    if state.issued is None:
        raise NoSuchReport
    return state.issued


decider: Decider[CamatReportCommand, IssuedReport, CamatReportEvent] = Decider(
    stream="camat_report",
    initial=IssuedReport(),
    evolve=evolve,
    decide=decide,
    events=(CamatReportIssued, CamatReportAcknowledged, CamatFollowUpRecorded),
)
