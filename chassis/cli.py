"""The command line of a single service: `python -m services.<name> [serve|migrate|up]`."""

import argparse
import asyncio
import gc
import sys

import uvicorn
from pydantic import ValidationError

from chassis.bootstrap import Service, build
from chassis.settings import Settings
from chassis.telemetry import logs, tracing


def main(service: Service) -> None:
    """Serve, or bring the database to the newest schema, or (`up`) both. Exits 2 when a setting is missing or wrong."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{service.name}", description=service.description)
    parser.add_argument("command", nargs="?", choices=["serve", "migrate", "up"], default="serve")
    command = parser.parse_args().command
    try:
        settings = Settings()
    except ValidationError as wrong:
        for error in wrong.errors():
            print(f"DINKOP_{'_'.join(map(str, error['loc'])).upper()}: {error['msg']}", file=sys.stderr)
        raise SystemExit(2) from None
    logs.configure(service.name, settings.log_level)
    tracing.configure(service.name, settings.otlp_endpoint)
    if command != "migrate" and service.personal_data:
        if settings.master_key is None:
            print("DINKOP_MASTER_KEY: needed, it wraps the keys of personal data; see README.md", file=sys.stderr)
            raise SystemExit(2)
        if settings.keys is None:
            print("DINKOP_KEYS: needed, the folder of the keys of personal data; see README.md", file=sys.stderr)
            raise SystemExit(2)
    if command in ("migrate", "up"):
        # Only here, for it costs a good part of a start.
        from chassis.storage.migrations import migrate

        asyncio.run(migrate(settings.database_url, service.migrations))
    if command == "migrate":
        return
    app = build(service, settings)
    # What is loaded stays: a full collection would look through all of it, for some 90 ms each time.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
