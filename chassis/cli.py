"""The command line of a single service: `python -m services.<name> [serve|migrate]`, and its replays."""

import argparse
import asyncio
import gc
import json
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from chassis.bootstrap import Service, build
from chassis.definitions.clock import new_id
from chassis.http.identity import Identity, NotSet
from chassis.http.serving import Server
from chassis.settings import Settings
from chassis.storage.migrations import InTheWay, migrate
from chassis.storage.migrations.awaiting import NotLetIn, NotMigrated, let_in, migrated
from chassis.storage.roles import role_in
from chassis.telemetry import logs, tracing

FINE, FAILED, UNREACHABLE, INTERRUPTED = 0, 1, 3, 130
"""Exit codes of what ends by itself."""


def main(service: Service) -> None:
    """Serve, or bring the database to the newest schema, or replay one projection, and end.

    Exits 2 when a setting is missing or wrong, 3 when there is no database to serve from.
    """
    given = parser(service).parse_args()
    command = given.command or "serve"
    try:
        settings = Settings()
    except ValidationError as wrong:
        for error in wrong.errors():
            print(f"DINKOP_{'_'.join(map(str, error['loc'])).upper()}: {error['msg']}", file=sys.stderr)
        raise SystemExit(2) from None
    replays = "projection" in given
    logs.configure(service.name, settings.log_level, sys.stderr if replays else sys.stdout)
    tracing.configure(service.name, settings.otlp_endpoint)
    if replays:
        code, answer = asyncio.run(replay(service, settings, given))
        print(json.dumps(answer))
        raise SystemExit(code)
    if command != "migrate":
        try:
            Identity.of(settings)
        except NotSet as missing:
            print(missing, file=sys.stderr)
            raise SystemExit(2) from None
    if command != "migrate" and service.personal_data:
        if settings.master_key is None:
            print("DINKOP_MASTER_KEY: needed, it wraps the keys of personal data; see README.md", file=sys.stderr)
            raise SystemExit(2)
        if settings.keys is None:
            print("DINKOP_KEYS: needed, the folder of the keys of personal data; see README.md", file=sys.stderr)
            raise SystemExit(2)
    if command != "migrate" and settings.migration_url is not None:
        print(
            "DINKOP_MIGRATION_URL: only `migrate` may have it. Whoever breaks into a service that serves must not find"
            " the way to change its tables: run `migrate` as a job of its own.",
            file=sys.stderr,
        )
        raise SystemExit(2)
    try:
        asyncio.run((_migrate if command == "migrate" else _await_migrations)(service, settings))
    except NotMigrated as lacking:
        print(f"{lacking} Run `python -m services.{service.name} migrate` first; see README.md", file=sys.stderr)
        raise SystemExit(UNREACHABLE) from None
    except InTheWay as held:
        print(held, file=sys.stderr)
        raise SystemExit(UNREACHABLE) from None
    except NotLetIn as closed:
        print(f"There is no connection to the database: {closed}", file=sys.stderr)
        raise SystemExit(UNREACHABLE) from None
    if command == "migrate":
        return
    app = build(service, settings)
    # What is loaded stays: a full collection would look through all of it, for some 90 ms each time.
    gc.collect()
    gc.freeze()
    server = Server(app, settings)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(UNREACHABLE)


async def _migrate(service: Service, settings: Settings) -> None:
    owner_url = settings.migration_url or settings.database_url
    await (await let_in(owner_url)).close()
    role = role_in(settings.database_url) if settings.migration_url else None
    await migrate(owner_url, service.migrations, role)


async def _await_migrations(service: Service, settings: Settings) -> None:
    await migrated(settings.database_url, service.migrations)


def parser(service: Service) -> argparse.ArgumentParser:
    """Return what reads the command line of a service."""
    service_parser = argparse.ArgumentParser(prog=f"python -m services.{service.name}", description=service.description)
    commands = service_parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve (what it does when nothing is said)")
    commands.add_parser("migrate", help="bring the database to the newest schema")
    for name, does in (
        ("rebuild", "replay the events into a new generation of a projection, prove it, and swap"),
        ("verify", "replay them aside, compare every row with the live generation, change nothing"),
        ("rollback", "put the generation before the live one back"),
        ("retire", "give that generation up"),
    ):
        replays = commands.add_parser(name, help=does)
        replays.set_defaults(dry_run=False, accept=False)
        replays.add_argument("projection", choices=[projection.name for projection in service.projections])
        replays.add_argument("--actor", default="local", help="who does it")
        replays.add_argument("--reason", help="why")
        replays.add_argument("--id", type=UUID, help="under which it is recorded")
        if name == "rebuild":
            replays.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
            replays.add_argument("--accept", action="store_true", help="go live though rows differ")
        if name == "retire":
            replays.add_argument("--generation", type=int, help="another one than that before the live one")
    return service_parser


async def replay(service: Service, settings: Settings, given: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    """Carry out one replay; return the exit code, and what came of it or `{"problem": …}`."""
    from chassis import replaying  # late, for a service that serves has no use for it
    from chassis.replaying import Kind, Order

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    [projection] = [projection for projection in service.projections if projection.name == given.projection]
    opened = replaying.replays(service, settings.database_url, settings, today=settings.today, gives_way=True)
    try:
        async with opened as replays:
            if given.command == "retire":
                return FINE, {"retired": await replays.retire(projection, given.generation)}
            kind = Kind.DRY_RUN if given.dry_run else Kind(given.command)
            order = Order(kind=kind, actor=given.actor, reason=given.reason, id=given.id or new_id())
            if given.accept:
                order = replace(order, accept=replaying.accepted)
            outcome = await replays.carry_out(projection, order)
    except (replaying.Refused, *replaying.FAILURES) as failed:
        return FAILED, {"problem": str(failed)}
    except asyncio.CancelledError:
        return INTERRUPTED, {"problem": "It was interrupted; the same again goes on from there."}
    except replaying.AWAY as away:
        if not replaying.gone(away):
            raise
        return UNREACHABLE, {"problem": f"The database or the stream can't be reached: {away}"}
    if kind is Kind.VERIFY and outcome.state == "different":
        return FAILED, {**outcome.as_json(), "problem": "The live generation is not what its events make."}
    return FINE, outcome.as_json()
