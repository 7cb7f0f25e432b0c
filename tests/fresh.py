"""A clean slate for the four services: databases of their own, and no stream."""

import nats as nats_py
from nats.js.errors import NotFoundError
from servers import Nats, Postgres, answers, make_database, migrate_database

from chassis.bootstrap import Service
from contracts.envelope import STREAM
from services.mentoring.service import service as mentoring
from services.rat.service import service as rat
from services.registry.service import service as registry
from services.reporting.service import service as reporting

SERVICES: dict[str, Service] = {each.name: each for each in (registry, rat, mentoring, reporting)}


async def fresh(postgres: Postgres, nats: Nats, prefix: str) -> dict[str, str]:
    """Return the URL of an empty database of each service, named by `prefix`; starts servers that a test killed."""
    for server in (postgres, nats):
        if not await answers(server):
            await server.start()
    client = await nats_py.connect(nats.url)
    try:
        await client.jetstream().delete_stream(STREAM)
    except NotFoundError:
        pass
    await client.close()
    databases = {}
    for name, service in SERVICES.items():
        databases[name] = await make_database(postgres, f"{prefix}_{name}", "template_of_a_service")
        if service.migrations:
            await migrate_database(postgres, f"{prefix}_{name}", service.migrations)
    return databases
