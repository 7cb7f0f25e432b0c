"""What is proven before a rebuild goes live, and what an operator sees of it; checks and copies that change nothing."""

import asyncio
import tracemalloc
from collections.abc import Hashable
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from any_history import a_history
from eventually import eventually
from projecting import MOMENT, Planted, Plot, Rained, on_planted, plots
from rebuilding import rebuild_from
from replayed import NONE, PLOTS, World, a_log, heights, naive, rain
from servers import Postgres
from sqlalchemy.dialects import postgresql

from chassis.definitions.clock import new_id
from chassis.definitions.projection import Projection, Received, Row
from chassis.engine.parking import receive
from chassis.engine.ports import Checkpoint
from chassis.engine.rebuild import Report, Until
from chassis.replaying import Kind, Order, Outcome, Refused, accepted
from chassis.storage import generations
from chassis.storage.comparing import Compared
from chassis.storage.database import Database
from chassis.storage.generations import NotRetirable, lease
from chassis.storage.looking import look
from chassis.storage.read_models import ReadModels
from chassis.storage.rebuilds import Rebuilds
from contracts.envelope import SERVICES

PLOT = PLOTS[0]


def shouted(row: Plot | None, received: Received[Planted]) -> Plot:
    """Plant as a newer version of the code has it."""
    planted = on_planted(row, received)
    return msgspec.structs.replace(planted, crops=planted.crops.upper())


def next_version(**changed: Any) -> Projection[Any]:
    """Return the plots as the next version of the code has them."""
    return replace(plots, version=2, **changed)


async def did(world: World, kind: Kind = Kind.REBUILD, **order: Any) -> Outcome:
    """Do something, and accept nothing."""
    world.order = Order(kind=kind, **order)
    return await world.rebuild()


async def records(world: World) -> list[tuple[str, str]]:
    """Return what was done, oldest first, and what came of it."""
    found = await Rebuilds(world.database.pool).list()
    return [(each.kind, each.state) for each in reversed(found)]


async def told(world: World) -> list[int]:
    """Return the generations that the store has an event of."""
    query = "SELECT (data->>'generation')::integer FROM events ORDER BY position"
    return [row[0] for row in await world.database.pool.fetch(query)]


# ---------------------------------------------------------------- before a swap


async def test_equal_rows_of_the_same_version_go_live_unasked(world: World) -> None:
    log = a_log(300)
    await world.publish(log)
    await world.project(heights(log))
    outcome = await did(world, actor="siti", reason="after the repair")
    assert outcome.compared is not None
    assert outcome.compared.same
    assert outcome.compared.before == outcome.compared.after
    assert await records(world) == [("rebuild", "live")]
    [event] = await world.database.pool.fetch("SELECT type, data::text, metadata::text FROM events")
    assert event[0] == "ProjectionRebuilt"
    data, metadata = msgspec.json.decode(event[1]), msgspec.json.decode(event[2])
    assert metadata["actor"] == "siti"
    said = {
        "projection": "plots",
        "generation": 2,
        "version": 1,
        "digest": outcome.compared.after,
        "rows": len(naive(plots, log)),
        "positions": heights(log),
        "reason": "after the repair",
    }
    assert {name: data[name] for name in said} == said
    [record] = await Rebuilds(world.database.pool).list()
    assert (record.generation, record.replaced, record.actor, record.reason) == (2, 1, "siti", "after the repair")
    assert record.outcome["compared"]["after"] == outcome.compared.after


async def test_other_rows_of_the_same_version_do_not_go_live_until_somebody_accepts_them(world: World) -> None:
    log = a_log(300)
    await world.publish(log)
    await world.project(heights(log))
    await world.database.pool.execute("UPDATE plots_g1.plots SET crops = 'by hand' WHERE plot = $1", PLOT)
    before = await world.rows()
    assert PLOT in before
    with pytest.raises(Refused, match="same version") as refusal:
        await did(world)
    compared = refusal.value.outcome.compared
    assert compared is not None
    assert (compared.added, compared.changed, compared.removed) == (0, 1, 0)
    [example] = compared.examples
    assert (example.kind, example.key, example.before) == ("changed", str(PLOT), {"crops": "by hand"})
    assert await world.generations() == [(1, "live"), (2, "building")]
    assert (await world.rows(), await told(world)) == (before, [])

    outcome = await did(world, accept=accepted)
    assert outcome.resumed_at > 0
    assert await world.generations() == [(1, "previous"), (2, "live")]
    assert await world.rows() == naive(plots, log)
    assert await records(world) == [("rebuild", "refused"), ("rebuild", "live")]
    assert await told(world) == [2]


async def test_another_version_goes_live_unasked_where_its_rows_are_the_same(world: World) -> None:
    await world.publish(rain(20))
    await world.project({"sky": 20})
    world.projection = next_version(handlers={**plots.handlers, Planted: shouted})
    outcome = await did(world)
    assert (outcome.replaced_version, outcome.version, outcome.state) == (1, 2, "live")


async def test_another_version_is_asked_for_where_its_rows_differ(world: World) -> None:
    log = a_log(300)
    await world.publish(log)
    await world.project(heights(log))
    world.projection = next_version(handlers={**plots.handlers, Planted: shouted})
    with pytest.raises(Refused, match=r"Version 2 of reporting\.plots reads otherwise than version 1"):
        await did(world)
    asked: list[Outcome] = []

    async def accept(outcome: Outcome) -> bool:
        asked.append(outcome)
        return True

    await did(world, accept=accept)
    [outcome] = asked
    assert outcome.compared is not None
    assert outcome.compared.changed > 0
    assert await world.rows() == naive(world.projection, log)


async def test_columns_that_come_and_go_are_named_and_asked_for(world: World) -> None:
    class Tall(Row, frozen=True):
        plot: UUID
        rain: list[int]
        drops: int

    def rained(row: Tall | None, received: Received[Rained]) -> Tall:
        return Tall(received.subject, [*(row.rain if row else []), received.data.millimetres], 0)

    table = sa.Table(
        "plots",
        sa.MetaData(),
        sa.Column("plot", sa.Uuid, primary_key=True),
        sa.Column("rain", postgresql.JSONB, nullable=False),
        sa.Column("drops", sa.Integer),
    )
    await world.publish(rain(20))
    await world.project({"sky": 20})
    world.projection = Projection("plots", 2, table, Tall, {Rained: rained})
    with pytest.raises(Refused) as refusal:
        await did(world)
    compared = refusal.value.outcome.compared
    assert compared is not None
    assert (compared.added_columns, compared.removed_columns) == (("drops",), ("crops",))
    assert (compared.added, compared.changed, compared.removed) == (0, 0, 0)
    await did(world, accept=accepted)
    assert await world.rows() == naive(world.projection, rain(20))


# ---------------------------------------------------------------- checks


@pytest.mark.parametrize("kind", [Kind.DRY_RUN, Kind.VERIFY])
async def test_a_check_says_what_differs_and_changes_nothing(world: World, kind: Kind) -> None:
    log = a_log(300)
    await world.publish(log)
    await world.project(heights(log))
    assert (await did(world, kind)).state == "equal"
    await world.database.pool.execute("DELETE FROM plots_g1.plots WHERE plot = $1", PLOT)
    before = await world.rows()
    outcome = await did(world, kind)
    assert outcome.state == "different"
    assert outcome.compared is not None
    assert [(each.kind, each.key) for each in outcome.compared.examples] == [("added", str(PLOT))]
    assert outcome.bytes > 0
    assert await world.generations() == [(1, "live")]
    assert (await world.rows(), await world.positions(), await told(world)) == (before, heights(log), [])
    assert await records(world) == [(kind, "equal"), (kind, "different")]


@pytest.mark.parametrize("by", ["the next check", "a sweep"])
async def test_what_a_killed_check_left_is_gone_after_the_next(world: World, by: str) -> None:
    await world.publish(rain(20))
    await world.project({"sky": 20})
    async with lease(world.database, plots):
        await generations.start(world.database, plots, "trial", "code")
        await generations.sweep(world.database, plots, 0)  # not while somebody is at work
        assert await world.generations() == [(1, "live"), (2, "trial")]
    if by == "a sweep":
        await generations.sweep(world.database, plots, 3600)
    else:
        await did(world, Kind.VERIFY)
    assert await world.generations() == [(1, "live")]


# ---------------------------------------------------------------- copies of the past

DAY = MOMENT + timedelta(seconds=70)
"""When event 70 of each service was recorded."""


@pytest.mark.parametrize("until", [Until(log_sequence=120), Until(time=DAY)], ids=["place", "time"])
async def test_a_copy_up_to_a_place_or_a_time_has_exactly_those_events(world: World, until: Until) -> None:
    log = a_log(300)
    await world.publish(log)
    await world.project(heights(log))
    outcome = await did(world, Kind.INSPECTION, until=until)
    upto = log[:120] if until.time is None else [e for e in log if int(e.headers["ce-sequence"]) <= 70]
    assert heights(upto) != heights(log)
    assert outcome.positions == heights(upto)
    assert await world.generations() == [(1, "live"), (2, "inspection")]
    assert await world.rows() == naive(plots, log)

    expected = naive(plots, upto)
    rows = await look(world.database, plots, 2, None, 1_000)
    assert [msgspec.convert(row, Plot) for row in rows] == sorted(expected.values(), key=lambda row: row.plot)
    [one] = await look(world.database, plots, 2, str(PLOT), 10)
    assert msgspec.convert(one, Plot) == expected[PLOT]
    assert await look(world.database, plots, 2, str(UUID(int=0)), 10) == []
    with pytest.raises(LookupError, match="no generation 7"):
        await look(world.database, plots, 7, None, 10)


async def test_a_copy_is_never_live_and_goes_when_it_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log = rain(50)
    await world.publish(log)
    await world.project(heights(log))
    await did(world, Kind.INSPECTION, until=Until(log_sequence=10))
    await did(world)
    assert await world.generations() == [(1, "previous"), (2, "inspection"), (3, "live")]
    await did(world, Kind.ROLLBACK)
    await generations.sweep(world.database, plots, 3600)
    assert await world.generations() == [(1, "live"), (2, "inspection"), (3, "previous")]
    async with lease(world.database, plots):
        assert await generations.retire(world.database, plots, 2) == 2
        for number in (1, 2, 9):
            with pytest.raises(NotRetirable, match="the live one is never retired"):
                await generations.retire(world.database, plots, number)
    monkeypatch.setattr(generations, "RETIRED_SECONDS", 0.0)
    await generations.sweep(world.database, plots, 3600)
    assert await world.generations() == [(1, "live"), (3, "previous")]


# ---------------------------------------------------------------- comparing


async def compared(database: Database, projection: Projection[Any]) -> Compared:
    """Compare the live generation with the second one as they are."""
    async with database.snapshot() as seen:
        models = ReadModels(database)
        async with models.view(projection, 1) as view:
            before = replace(view, connection=seen)
        after = await before.beside(projection, 2)
        return await generations.Together(projection, before, after, 1).compare()


async def two_generations(database: Database, projection: Projection[Any]) -> None:
    """Make an empty live generation and one beside it, with keys."""
    async with lease(database, projection):
        made = await generations.start(database, projection, "trial", "code")
        await made.finish()
        await made.keep()


async def test_one_row_among_many_is_found_whatever_happened_to_it(service_database: Database) -> None:
    await two_generations(service_database, plots)
    for number in (1, 2):
        await service_database.pool.execute(
            f"INSERT INTO plots_g{number}.plots"
            " SELECT md5(n::text)::uuid, 'rice', '[1, 2]' FROM generate_series(1, 20000) AS n"
        )
    same = await compared(service_database, plots)
    assert (same.same, same.rows, same.before) == (True, 20_000, same.after)
    for change, kind in (
        ("UPDATE plots_g2.plots SET rain = '[2, 1]' WHERE plot = md5('777')::uuid", "changed"),
        ("DELETE FROM plots_g2.plots WHERE plot = md5('777')::uuid", "removed"),
        ("DELETE FROM plots_g1.plots WHERE plot IN (md5('777')::uuid, md5('778')::uuid)", "added"),
    ):
        await service_database.pool.execute(change)
        found = await compared(service_database, plots)
        assert not found.same
        assert found.before != found.after
        key = "778" if kind == "added" else "777"
        expected = await service_database.pool.fetchval("SELECT md5($1)::uuid::text", key)
        assert [(each.kind, each.key) for each in found.examples] == [(kind, expected)]
        assert getattr(found, kind) == 1


async def test_a_comparison_takes_no_more_memory_when_every_row_differs(service_database: Database) -> None:
    await two_generations(service_database, plots)
    for number, crops in ((1, "rice"), (2, "maize")):
        await service_database.pool.execute(
            f"INSERT INTO plots_g{number}.plots"
            f" SELECT md5(n::text)::uuid, repeat('{crops}', 100), '[]' FROM generate_series(1, 20000) AS n"
        )
    tracemalloc.start()
    try:
        found = await compared(service_database, plots)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found.changed, len(found.examples)) == (20_000, 20)
    assert most < 5_000_000  # of 20,000 rows, the keys and digests alone would take more


OTHERWISE = {
    "UUID": "gen_random_uuid()",
    "TEXT": "coalesce({0}, '') || 'x'",
    "DATE": "coalesce({0}, '2020-01-01') + 1",
    "INTEGER": "coalesce({0}, 0) + 1",
    "BIGINT": "coalesce({0}, 0) + 1",
    "TIMESTAMP WITH TIME ZONE": "coalesce({0}, '2020-01-01') + interval '1 microsecond'",
    "JSONB": "jsonb_build_array({0})",
    "TEXT[]": "array_append({0}, 'x')",
}
"""How to change a value of a type a little."""


@pytest.mark.parametrize(
    "projection",
    [
        pytest.param(projection, id=f"{name}.{projection.name}")
        for name in SERVICES
        for projection in import_module(f"services.{name}.service").service.projections
    ],
)
async def test_a_change_in_any_column_is_found_and_named(
    service_database: Database, projection: Projection[Any]
) -> None:
    rows: dict[Hashable, Any] = projection.fold(
        received for each in a_history(Random(1), 150) if (received := receive(projection, each))
    )
    await two_generations(service_database, projection)
    async with lease(service_database, projection):
        made = await generations.start(service_database, projection, "building", "code")
        await made.write(rows.values(), (), Checkpoint())
    table = projection.table
    place = f'"{projection.name}_g{{0}}"."{table.name}"'
    for number in (1, 2):
        await service_database.pool.execute(f"INSERT INTO {place.format(number)} SELECT * FROM {place.format(3)}")
    assert (await compared(service_database, projection)).same
    key, *columns = table.columns
    one = f"ctid = (SELECT min(ctid) FROM {place.format(2)})"
    for column in columns:
        kind = column.type.compile(dialect=postgresql.dialect()).upper()
        was = await service_database.pool.fetchrow(f'SELECT "{key.name}"::text FROM {place.format(2)} WHERE {one}')
        assert was is not None
        async with service_database.pool.acquire() as connection:
            await connection.execute(f'ALTER TABLE {place.format(2)} ALTER "{column.name}" DROP NOT NULL')
            for changed in ("NULL", OTHERWISE[kind].format(f'"{column.name}"')):
                changing = f'UPDATE {place.format(2)} SET "{column.name}" = {changed} WHERE "{key.name}"::text = $1'
                old = f'SELECT "{column.name}"::text FROM {place.format(2)} WHERE "{key.name}"::text = $1'
                if changed == "NULL" and await connection.fetchval(old, was[0]) is None:
                    continue
                await connection.execute(changing, was[0])
                found = await compared(service_database, projection)
                assert (found.added, found.changed, found.removed) == (0, 1, 0)
                [example] = found.examples
                assert example.before is not None
                assert [*example.before] == [column.name]
                await connection.execute(f'DELETE FROM {place.format(2)} WHERE "{key.name}"::text = $1', was[0])
                await connection.execute(
                    f"INSERT INTO {place.format(2)} SELECT * FROM {place.format(3)} AS t"
                    f' WHERE t."{key.name}"::text = $1',
                    was[0],
                )


# ---------------------------------------------------------------- when servers die


async def test_a_postgresql_server_killed_in_the_middle_costs_nothing(
    world: World, killable_postgres: Postgres
) -> None:
    log = a_log(3_000)
    await world.publish(log)
    await world.project(heights(log))
    written = asyncio.Event()

    def note(report: Report) -> None:
        if report.rows > 0:
            written.set()

    rebuilding = asyncio.create_task(world.rebuild(note, NONE))
    await written.wait()
    await killable_postgres.kill()
    await killable_postgres.start()
    outcome = await rebuilding
    assert outcome.state == "live"
    assert await eventually(world.rows) == naive(plots, log)
    assert await world.generations() == [(1, "previous"), (2, "live")]
    assert await records(world) == [("rebuild", "live")]
    assert await told(world) == [2]


async def test_a_swap_of_which_nobody_was_told_is_not_made_again(world: World) -> None:
    await world.publish(rain(20))
    world.order = Order(id=new_id())
    first = await rebuild_from(world.nats.url, world.database_url, plots, order=world.order)
    again = await rebuild_from(world.nats.url, world.database_url, plots, order=world.order)
    assert (again.state, again.generation) == ("live", first.generation)
    assert await told(world) == [2]


async def test_discarded_events_are_passed_over_and_counted(world: World) -> None:
    log = rain(20)
    await world.publish(log)
    await world.database.pool.execute(
        """INSERT INTO discarded (consumer, service, sequence, id, type, subject, headers, attempts, parked_at,
                                  discarded_by, reason)
           VALUES ('plots', 'sky', 7, gen_random_uuid(), 'Rained', '', '{}', 1, now(), 'siti', 'wrong')"""
    )
    await world.project({"sky": 20})
    outcome = await did(world)
    assert (outcome.skipped, outcome.state) == (1, "live")
    assert await world.rows() == naive(plots, log[:6] + log[7:])
