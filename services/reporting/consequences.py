"""What would read otherwise, were another generation live: the counts of kecamatan, and the issued camat reports."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from uuid import UUID

from chassis.definitions.consequences import Consequence
from chassis.storage.differences import differences
from chassis.storage.read_models import View
from contracts.envelope import timestamp
from contracts.regions import all_kecamatan, kecamatan
from services.reporting.domain.counts import Tally
from services.reporting.domain.facts import Facts
from services.reporting.domain.health import EVERYTHING, HealthRule
from services.reporting.domain.mentoring import open_in
from services.reporting.domain.policy import NoPolicy, policy_at, policy_of
from services.reporting.projections import camat_reports, health_status
from services.reporting.projections.camat_reports import ReportRow
from services.reporting.projections.health_status import HealthRow, facts_of
from services.reporting.tables import policies

type Value = int | str | bool | None


class OfKecamatan(Consequence, frozen=True, kw_only=True):
    """A count of GET /v1/kecamatan as of today; code and name are None for the cooperatives without a kecamatan."""

    kecamatan_code: str | None
    name: str | None

    @property
    def of(self) -> str:
        """Return the kecamatan."""
        return f"{self.kecamatan_code} {self.name}" if self.kecamatan_code else "without a kecamatan"


class OfReport(Consequence, frozen=True, kw_only=True):
    """A number of an issued camat report, or something that the list of them says of it."""

    report_id: UUID
    period: str
    issued_on: date
    kecamatan_code: str
    name: str

    @property
    def of(self) -> str:
        """Return the report."""
        return f"report {self.period} of {self.kecamatan_code} {self.name} (issued {self.issued_on})"


# ---------------------------------------------------------------- health_status


async def of_health_status(before: View, after: View, today: date) -> Sequence[Consequence]:
    """Return the counts of today that would differ, and the numbers of issued reports, each at its own moment.

    The bytes of an issued report stay what they are. What differs is what either generation makes of its kecamatan at
    its `as_of` and by its `known_at`, which leaves out all that was recorded since. Only rows that differ can move a
    number: what a number is from all rows is counted only where it moves. Takes the processor to itself.
    """
    questions = await _questions(before, today)
    asked = _by_kecamatan(questions)
    async for was, becomes in differences(health_status.projection, before, after):
        _count(asked, was, lambda question: question.lost)
        _count(asked, becomes, lambda question: question.gained)
    moved = [question for question in questions if question.moves]
    if moved:
        asked = _by_kecamatan(moved)
        async for row in before.stream(health_status.ALL):
            _count(asked, HealthRow(*row), lambda question: question.before)
    return [consequence for question in moved for consequence in question.consequences()]


class _Question:
    """Counts that somebody asks for: those of all kecamatan today, or those of one that a report was issued with.

    `before` counts the rows as they are; `lost` those that differ, as they are, and `gained` as they would be.
    """

    def __init__(self, rule: HealthRule, kecamatan_codes: Sequence[str], report: ReportRow | None = None) -> None:
        self.rule, self.report = rule, report
        self.before, self.lost, self.gained = (Tally.of(kecamatan_codes) for _ in range(3))
        # A report is about its own kecamatan; what happens elsewhere counts under None there.
        self._told = [report.kecamatan_code] if report else list(self.before.by_kecamatan)

    @property
    def moves(self) -> bool:
        """Tell whether the answer would be another one."""
        return any(self.lost.by_kecamatan[code] != self.gained.by_kecamatan[code] for code in self._told)

    def consequences(self) -> Iterator[Consequence]:
        """Yield every number that would read otherwise."""
        for code in self._told:
            lost, gained = asdict(self.lost.by_kecamatan[code]), asdict(self.gained.by_kecamatan[code])
            for name, count in asdict(self.before.by_kecamatan[code]).items():
                if gained[name] != lost[name]:
                    yield self._said(code, name, count, count - lost[name] + gained[name])

    def _said(self, code: str | None, field: str, before: int, after: int) -> Consequence:
        if self.report:
            return _of_report(self.report, field, before, after)
        return OfKecamatan(
            field=field, before=before, after=after, kecamatan_code=code, name=_name(code) if code else None
        )


type _Asked = Mapping[str | None, Sequence[_Question]]
"""The questions that a row can matter to, by the kecamatan it ever was in; under None those it always does."""


async def _questions(view: View, today: date) -> list[_Question]:
    known = await policies.read(view)
    reports = await view.beside(camat_reports.projection)
    questions = []
    with suppress(NoPolicy):  # nothing can be asked for a day without a policy, whatever the generation
        rule = HealthRule(today, EVERYTHING, policy_at(today, known))
        questions.append(_Question(rule, [place.code for place in all_kecamatan()]))
    for row in await reports.rows(camat_reports.projection, camat_reports.BY_KECAMATAN):
        with suppress(NoPolicy):
            rule = HealthRule(row.as_of, row.known_at, policy_of(row.policy, row.as_of, known))
            questions.append(_Question(rule, [row.kecamatan_code], row))
    return questions


def _by_kecamatan(questions: Iterable[_Question]) -> _Asked:
    asked: dict[str | None, list[_Question]] = defaultdict(list)
    for question in questions:
        asked[question.report.kecamatan_code if question.report else None].append(question)
    return asked


def _count(asked: _Asked, row: HealthRow | None, tally: Callable[[_Question], Tally]) -> None:
    """Count a row into one of the tallies of each question that it can matter to."""
    if row is None:
        return
    facts = facts_of(row)
    for code in (None, *row.kecamatan_codes):
        for question in asked.get(code, ()):
            _add(tally(question), question.rule, row.kind, facts)


def _add(tally: Tally, rule: HealthRule, kind: str, facts: Facts) -> None:
    if kind == "request":
        if code := open_in(facts, rule.as_of, rule.known_at):
            tally.add_request(code)
    elif verdict := rule.judge(facts):
        tally.add(verdict)


# ---------------------------------------------------------------- camat_reports


async def of_camat_reports(before: View, after: View, _today: date) -> Sequence[Consequence]:
    """Return what the list of issued reports would say otherwise: of reports that stay, and which come or go."""
    found: list[OfReport] = []
    async for was, becomes in differences(camat_reports.projection, before, after):
        then, now = _told(was), _told(becomes)
        if row := was or becomes:
            found += (
                _of_report(row, name, value, now[name])
                for name, value in then.items()
                if name in now and now[name] != value
            )
    return sorted(found, key=lambda each: (each.kecamatan_code, each.issued_on, each.report_id))


def _told(row: ReportRow | None) -> dict[str, Value]:
    """Return what readers are told of a report; of one that isn't there, only that."""
    if row is None:
        return {"listed": False}
    acknowledged = camat_reports.acknowledgements_of(row)
    return {
        "listed": True,
        "kecamatan_code": row.kecamatan_code,
        "period": row.period,
        "issued_on": str(row.issued_on),
        "as_of": str(row.as_of),
        "known_at": timestamp(row.known_at),
        "policy": row.policy,
        "sha256": row.sha256,
        **dict(camat_reports.numbers_of(row)),
        "acknowledged_on": str(acknowledged[0].acknowledged_on) if acknowledged else None,
        "follow_ups": "; ".join(
            f"{each.done_on} {each.action} ({each.cooperative_id})" for each in camat_reports.follow_ups_of(row)
        )
        or None,
    }


def _of_report(row: ReportRow, field: str, before: Value, after: Value) -> OfReport:
    return OfReport(
        field=field,
        before=before,
        after=after,
        report_id=row.report_id,
        period=row.period,
        issued_on=row.issued_on,
        kecamatan_code=row.kecamatan_code,
        name=_name(row.kecamatan_code),
    )


def _name(kecamatan_code: str) -> str:
    place = kecamatan(kecamatan_code)
    return place.name if place else kecamatan_code
