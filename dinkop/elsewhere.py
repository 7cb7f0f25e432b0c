"""A system on servers of its own, as its environment names it: where services, NATS and databases are."""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from chassis.settings import SECRETS
from contracts.envelope import SERVICES
from dinkop.home import Running

VARIABLE = "DINKOP_SERVICES"
"""`registry=http://registry:8000 rat=http://rat:8000 …`: set, it says that the system runs elsewhere, and where."""
NATS, MONITORING, TODAY = "DINKOP_NATS_URL", "DINKOP_NATS_MONITORING_URL", "DINKOP_TODAY"


class NotTold(Exception):
    """What the environment says of the system elsewhere can't be right; the text names the variable."""


def told(environment: Mapping[str, str] = os.environ) -> Running | None:
    """Return the system that the environment names, None when it names none. Raises NotTold.

    Addresses that hold a password come from files of the folder DINKOP_SECRETS, or from variables of the same name:
    `dinkop_nats_url`, and for commands that read stores themselves `dinkop_registry_database_url` and so on.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    pairs = [word.partition("=") for word in text.split()]
    services = {name: url.rstrip("/") for name, _, url in pairs}
    if services.keys() != set(SERVICES) or not all(
        url.startswith(("http://", "https://")) for url in services.values()
    ):
        form = " ".join(f"{name}=http://…" for name in SERVICES)
        raise NotTold(f"{VARIABLE} names every service and its URL, such as {form}.")
    day = environment.get(TODAY, "")
    try:
        today = date.fromisoformat(day) if day else None
    except ValueError:
        raise NotTold(f"{TODAY} is a day such as 2024-11-14.") from None
    databases = {name: secret(f"DINKOP_{name.upper()}_DATABASE_URL", environment) for name in SERVICES}
    return Running(
        supervisor=None,
        ready=True,
        services={name: services[name] for name in SERVICES},
        nats_url=secret(NATS, environment),
        monitoring_url=environment.get(MONITORING, ""),
        databases={name: url for name, url in databases.items() if url},
        processes={},
        today=today,
    )


def tls(environment: Mapping[str, str] = os.environ) -> dict[str, Path | None]:
    """Return what the connection to NATS is encrypted with, under the names that services have for it."""
    names = {"ca": "DINKOP_NATS_CA", "certificate": "DINKOP_NATS_CERTIFICATE", "key": "DINKOP_NATS_KEY"}
    return {part: Path(environment[name]) if environment.get(name) else None for part, name in names.items()}


def secret(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a variable, or the file of that name in lower case in the folder of secrets; empty without either."""
    if given := environment.get(name, ""):
        return given
    folder = environment.get(SECRETS, "")
    try:
        return (Path(folder) / name.lower()).read_text("utf-8").strip() if folder else ""
    except FileNotFoundError:
        return ""
