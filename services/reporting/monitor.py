"""The health monitor: tells the world when a cooperative's health is another, be it only by a deadline that passed.

It remembers nothing that would be lost: what was announced is in the event store, what is so in the read model, and
it announces the difference. Whenever it is started it compares everything, so it may be killed at any point.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date
from itertools import batched
from typing import Any
from uuid import UUID

import structlog

from chassis.definitions import clock
from chassis.engine.handling import Order
from chassis.engine.ports import Feed, LogMessage, LogReplaced, WrongVersion
from chassis.http.runtime import Runtime
from services.reporting.domain.announced_health import Announced, AnnounceHealth, decider
from services.reporting.domain.health import EVERYTHING, HealthRule
from services.reporting.domain.policy import Policy, policy_at
from services.reporting.projections import health_status
from services.reporting.projections.health_status import HealthRow, facts_of, projection
from services.reporting.tables.policies import policies

log = structlog.get_logger()

BATCH = 100
"""Cooperatives compared at a time: a few milliseconds in which nobody else is served."""
CALM = 0.5
"""Seconds for which changes are gathered: an event's own reader is served before its consequences."""
MOST = 10_000
"""Changed cooperatives remembered; with more, they are compared at once, and the log waits."""
_SERVICES = frozenset({"registry", "rat"})
"""Whose events a status follows from; mentoring changes none."""

type Metadata = Mapping[str, Any]

_MONITOR: Metadata = {"actor": "health-monitor"}


async def watch(runtime: Runtime, feed: Feed) -> None:
    """Announce every change of health until cancelled."""
    while True:
        try:
            await Monitor(runtime, feed).run()
        except LogReplaced as replaced:
            log.info("health.reload", reason=repr(replaced))


@dataclass
class Monitor:
    """Compares what is with what was announced: of a cooperative when it changed, of all when the day or rule did."""

    runtime: Runtime
    feed: Feed
    calm: float = CALM
    _changed: dict[UUID, Metadata] = field(default_factory=dict)
    _since: float = 0.0
    _reached: dict[str, int] = field(default_factory=dict)
    _compared: tuple[date, Policy] | None = None

    async def run(self) -> None:
        """Follow the log from where the read model stands, and announce what follows from it. Raises LogReplaced."""
        checkpoint = await self.runtime.read_models.live(projection).checkpoint()
        resumable = checkpoint.log == await self.feed.identity()
        head = await self.feed.head()
        self._reached = {service: at for service, at in checkpoint.positions.items() if service in _SERVICES}
        at_head = False
        async with aclosing(self.feed.follow(_SERVICES, checkpoint.log_sequence if resumable else 0)) as batches:
            async for batch in batches:
                self._note(batch)
                # In the middle of a replay the read model stands for a past that was announced long ago, or never.
                at_head = at_head or not batch or batch[-1].log_sequence >= head
                if at_head and (not batch or self._is_time()):
                    await self._announce()

    def _note(self, batch: Sequence[LogMessage]) -> None:
        for message in batch:
            sequence = int(message.headers["ce-sequence"])
            if sequence <= self._reached.get(message.service, 0):
                continue
            self._reached[message.service] = sequence
            if self._compared and (message.service, message.type) in projection.by_type:
                if not self._changed:
                    self._since = time.monotonic()
                self._changed[UUID(message.headers["ce-subject"])] = _caused_by(message.headers)

    def _is_time(self) -> bool:
        return time.monotonic() - self._since >= self.calm or len(self._changed) >= MOST

    async def _announce(self) -> None:
        today = clock.today(self.runtime.today)
        policy = policy_at(today, await policies(self.runtime.read_models, projection))
        rule = HealthRule(today, EVERYTHING, policy)
        if self._compared != (today, policy):
            await self._caught_up()
            self._changed = {}
            await self._compare_all(rule)
            self._compared = today, policy
        elif self._changed:
            await self._caught_up()
            changed, self._changed = self._changed, {}
            for ids in batched(changed, BATCH):
                await self._compare(ids, rule, changed)

    async def _caught_up(self) -> None:
        """Wait until the read model holds every event that was noted."""
        while True:
            move = self.runtime.next_move()
            have = self.runtime.positions.get(projection.name, {})
            if all(have.get(service, 0) >= at for service, at in self._reached.items()):
                return
            await move.wait()

    async def _compare_all(self, rule: HealthRule) -> None:
        after: UUID | None = None
        announced = 0
        while True:
            async with self.runtime.read_models.view(projection) as view:
                ids = [row[0] for row in await view.fetch(health_status.cooperative_ids(after).limit(BATCH))]
            announced += await self._compare(ids, rule)
            if len(ids) < BATCH:
                break
            after = ids[-1]
        log.info("health.compared", as_of=str(rule.as_of), policy=rule.policy.name, announced=announced)

    async def _compare(self, ids: Sequence[UUID], rule: HealthRule, causes: Mapping[UUID, Metadata] = {}) -> int:
        """Announce what is other than was announced of these cooperatives; return how many that were.

        What was announced is read before what is: should somebody else, a leader that doesn't know yet that it no
        longer leads, announce something in between, the append is refused by the version, and what is so then
        is compared again. So nothing older is told after something newer.
        """
        handler = self.runtime.handler(decider)
        count = 0
        while ids:
            announced = await handler.load_many(ids)
            async with self.runtime.read_models.view(projection) as view:
                rows = await view.rows(projection, health_status.cooperatives_of(ids))
            orders = [
                Order(row.subject_id, command, causes.get(row.subject_id, _MONITOR))
                for row in rows
                if (command := _difference(row, announced[row.subject_id].state, rule))
            ]
            outcomes = await handler.handle_many(orders, announced) if orders else []
            ids = [order.id for order, came in zip(orders, outcomes, strict=True) if isinstance(came, WrongVersion)]
            count += len(orders) - len(ids)
        return count


def _difference(row: HealthRow, announced: Announced, rule: HealthRule) -> AnnounceHealth | None:
    """Return what there is to announce of a cooperative, None when the world knows it."""
    facts = facts_of(row)
    verdict = rule.judge(facts)
    status = verdict.status if verdict else None
    if status == announced.status:
        return None
    return AnnounceHealth(
        status=status,
        kecamatan_code=verdict.kecamatan_code if verdict else rule.seat(facts),
        as_of=rule.as_of,
        policy=rule.policy.name,
    )


def _caused_by(headers: Mapping[str, str]) -> Metadata:
    metadata = {**_MONITOR, "correlation_id": headers["ce-correlationid"], "causation_id": headers["ce-id"]}
    traceparent = headers.get("traceparent")
    return metadata | ({"traceparent": traceparent} if traceparent else {})
