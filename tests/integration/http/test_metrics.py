"""What Prometheus gets: every metric there is, told by a running service, and another when things are another."""

import re
from collections.abc import Callable, Iterator

import asyncpg
import httpx
import pytest
from documents import NOBODY, refused, registered, registration
from eventually import eventually
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from servers import Nats
from system import System

from chassis.operations import looking
from chassis.telemetry.metrics import LEVELS

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")


@pytest.fixture(scope="module", autouse=True)
def _frequent_samples() -> Iterator[None]:
    """Before the services start: they look at themselves more often than an operator has patience for."""
    usual, looking.SAMPLE = looking.SAMPLE, 0.1
    yield
    looking.SAMPLE = usual


type Samples = dict[tuple[str, ...], float]
"""(name, *values of its labels, by the labels' names) -> value."""


async def scraped(client: httpx.AsyncClient) -> Samples:
    """Return what a service tells Prometheus."""
    text = (await client.get("/metrics")).text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def until(client: httpx.AsyncClient, holds: Callable[[Samples], bool], seconds: float = 30.0) -> Samples:
    """Scrape until it is so, and return what was told then."""

    async def told() -> Samples | None:
        samples = await scraped(client)
        return samples if holds(samples) else None

    found = await eventually(told, seconds)
    assert found
    return found


def is_(value: float, *name: str) -> Callable[[Samples], bool]:
    """Tell whether a metric has a value."""
    return lambda samples: samples.get(name) == value


async def test_requests_are_counted_and_timed_by_the_routes_template_and_never_by_an_id(
    registry: httpx.AsyncClient,
) -> None:
    cooperative_id, _ = await registered(registry)
    before = await scraped(registry)
    refused(await registry.get(f"/v1/cooperatives/{NOBODY}"), 404, "no-such-cooperative")
    await registry.get(f"/v1/cooperatives/{cooperative_id}/history")
    refused(await registry.post("/v1/cooperatives", json=registration(name="")), 422, "invalid")
    after = await scraped(registry)
    for method, route, status in (
        ("GET", "/v1/cooperatives/{cooperative_id}", "404"),
        ("GET", "/v1/cooperatives/{cooperative_id}/history", "200"),
        ("POST", "/v1/cooperatives", "422"),
    ):
        count = ("dinkop_http_request_seconds_count", method, route, status)
        assert after[count] == before.get(count, 0) + 1, count
        total = ("dinkop_http_request_seconds_sum", method, route, status)
        assert 0 < after[total] - before.get(total, 0) < 30
        bucket = ("dinkop_http_request_seconds_bucket", "+Inf", method, route, status)
        assert after[bucket] == after[count]
    assert not [labels for labels in after if any(UUID.search(value) for value in labels)]


async def test_what_is_appended_and_published_is_counted_by_the_type_of_event(registry: httpx.AsyncClient) -> None:
    before = await scraped(registry)
    await registered(registry)
    appended = ("dinkop_events_appended_total", "CooperativeRegistered")
    position = before["dinkop_store_position",]

    def so(samples: Samples) -> bool:
        return (
            samples[appended] == before.get(appended, 0) + 1
            and samples["dinkop_events_published_total",] > before["dinkop_events_published_total",]
            and samples["dinkop_store_position",] == position + 1
            and samples["dinkop_relay_backlog",] == 0
        )

    await until(registry, so)


async def test_a_projection_that_stands_still_lags_in_events_and_in_seconds(registry: httpx.AsyncClient) -> None:
    path = "/v1/operations/projections/cooperatives"
    lag, seconds = (f"dinkop_projection_lag_{of}" for of in ("events", "seconds"))
    await until(registry, is_(0, lag, "cooperatives"))
    await registry.post(f"{path}/pause")
    try:
        for _ in range(2):
            await registered(registry)
        samples = await until(registry, is_(2, lag, "cooperatives"))
        assert samples["dinkop_projection_paused", "cooperatives"] == 1
        was = samples[seconds, "cooperatives"]
        assert 0 < was < 60
        await until(registry, lambda samples: samples[seconds, "cooperatives"] > was)
    finally:
        await registry.post(f"{path}/resume")
    samples = await until(registry, is_(0, lag, "cooperatives"))
    assert samples[seconds, "cooperatives"] == 0
    await until(registry, is_(0, "dinkop_projection_paused", "cooperatives"))


async def test_a_generation_of_other_code_is_told_as_outdated(system: System, reporting: httpx.AsyncClient) -> None:
    outdated = ("dinkop_projection_outdated", "timeline")
    other = "UPDATE generations SET version = version {} WHERE projection = 'timeline' AND status = 'live'"
    await until(reporting, is_(0, *outdated))
    await system.execute("reporting", other.format("+ 1"))
    await until(reporting, is_(1, *outdated))
    await system.execute("reporting", other.format("- 1"))
    await until(reporting, is_(0, *outdated))


async def test_the_last_comparison_with_the_stream_has_an_age_and_a_verdict(
    system: System, rat: httpx.AsyncClient
) -> None:
    compared = "INSERT INTO reconciliations (at, actor, position, fine, finding) VALUES"
    assert ("dinkop_reconcile_fine",) not in await scraped(rat), "nobody has compared anything yet"
    await system.execute("rat", f"{compared} (now() - interval '2 hours', 'siti', 0, false, '{{}}')")
    samples = await until(rat, is_(0, "dinkop_reconcile_fine"))
    assert 7_200 <= samples["dinkop_reconcile_age_seconds",] < 7_300
    await system.execute("rat", f"{compared} (now(), 'siti', 0, true, '{{}}')")
    samples = await until(rat, is_(1, "dinkop_reconcile_fine"))
    assert samples["dinkop_reconcile_age_seconds",] < 100


async def test_every_metric_there_is_is_told_by_a_running_service(system: System, reporting: httpx.AsyncClient) -> None:
    statements = (
        "INSERT INTO reconciliations (actor, position, fine, finding) VALUES ('siti', 0, true, '{}')",
        "INSERT INTO parked (consumer, generation, service, sequence, type, subject, headers, data, attempts)"
        " VALUES ('reaction:x', NULL, 'registry', 1, 'T', 's', '{}', '', 1)",
        "INSERT INTO rebuilds (id, projection, kind, state, version, code, actor, holder, progress) VALUES"
        " ('0190b5a0-0000-7000-8000-00000000feed', 'timeline', 'rebuild', 'running', 1, '', 'siti', 'kantor',"
        """ '{"events": 3, "total": 8}')""",
    )
    for statement in statements:
        await system.execute("reporting", statement)
    own = {family.name for family in REGISTRY.collect() if family.name.startswith("dinkop_")}
    assert len(own) >= 6
    holder = await asyncpg.connect(system.databases["reporting"])
    try:
        await holder.execute("SELECT pg_advisory_lock(hashtext('rebuild:timeline'))")

        async def told() -> set[str]:
            text = (await reporting.get("/metrics")).text
            named = {family.name for family in text_string_to_metric_families(text) if family.samples}
            return named if LEVELS.keys() <= named else set()

        assert own <= await eventually(told)
        samples = await scraped(reporting)
        assert samples["dinkop_rebuild_events_done", "rebuild", "timeline"] == 3
        assert samples["dinkop_rebuild_events_total", "rebuild", "timeline"] == 8
        assert samples["dinkop_parked_events", "reaction:x"] == 1
        assert [value for (name, *_), value in samples.items() if name == "dinkop_build_info"] == [1]
    finally:
        await holder.close()
        await system.execute("reporting", "DELETE FROM parked")
    await until(reporting, lambda samples: ("dinkop_rebuild_running", "rebuild", "timeline") not in samples)


async def test_without_the_stream_a_backlog_grows_and_the_stream_is_told_as_unseen(
    system: System, registry: httpx.AsyncClient, nats: Nats
) -> None:
    await until(registry, is_(1, "dinkop_stream_seen"))
    failed = ("dinkop_background_failures_total", "relay")
    before = (await scraped(registry)).get(failed, 0)
    await nats.kill()
    try:
        await registered(registry)
        # Both, for a look that began before the command may be the first that misses the stream.
        unseen = {("dinkop_stream_seen",): 0, ("dinkop_relay_backlog",): 1}
        samples = await until(registry, lambda samples: unseen.items() <= samples.items(), 60)
        assert samples["dinkop_writes_accepted",] == 1, "commands need no stream"
        assert ("dinkop_projection_lag_events", "cooperatives") not in samples, "nobody can know"
        await until(registry, lambda samples: samples.get(failed, 0) > before, 60)
    finally:
        await nats.start()
    await until(
        registry, lambda samples: is_(0, "dinkop_relay_backlog")(samples) and samples["dinkop_stream_seen",], 60
    )


async def test_without_the_database_a_service_still_tells_that_it_refuses_commands(
    system: System, registry: httpx.AsyncClient
) -> None:
    healthy = {("dinkop_database_seen",): 1, ("dinkop_writes_accepted",): 1, ("dinkop_leading",): 1}
    await until(registry, lambda samples: healthy.items() <= samples.items())
    await system.postgres.kill()
    try:
        lost = dict.fromkeys(healthy, 0.0)
        samples = await until(registry, lambda samples: lost.items() <= samples.items(), 60)
        assert ("dinkop_store_position",) not in samples, "nobody can know"
    finally:
        await system.postgres.start()
    await until(registry, lambda samples: healthy.items() <= samples.items(), 60)
