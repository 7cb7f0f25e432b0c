"""Who may do what on NATS, as a server's configuration: an account for every service, every agency, and dinkop.

Permissions alone are no door. The server sends an answer wherever a request says, without asking whether whoever sent
it may publish there: an agency that may only ask for its next message could have that message, or the empty
notice that there is none, "answered" to `$JS.API.STREAM.DELETE.DINKOP`, and the stream is gone (nats-server 2.15). So
everybody has an account of his own, into which just the subjects he needs are imported; an answer can't leave it.
Permissions say the same once more. See docs/decisions/0014-nats-doors.md.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from chassis.messaging.pulling import consumer_names
from contracts.envelope import STREAM, SUBJECT_ROOT


class Declared(NamedTuple):
    """What a service reads: events of these services, and by `reactions` as (durable consumer, service, event type)."""

    sources: frozenset[str]
    reactions: frozenset[tuple[str, str, str]] = frozenset()


# As the manifests have it, and a test sees to that: to load them costs seconds that a start need not wait.
DECLARED: Mapping[str, Declared] = {
    "registry": Declared(frozenset({"registry"})),
    "rat": Declared(frozenset({"registry", "rat"})),
    "mentoring": Declared(frozenset({"registry", "rat", "mentoring"})),
    "reporting": Declared(frozenset({"registry", "rat", "mentoring", "reporting"})),
}

STREAM_ACCOUNT = "DINKOP"
"""The account that has the stream."""
SYSTEM_ACCOUNT = "$SYS"
"""The server's own."""
RELOAD = "$SYS.REQ.SERVER.{}.RELOAD"
"""The request, to the server of an id, to read its configuration again: for servers that get no signal from here."""
OPERATOR = "dinkop"
"""The user of dinkop's own commands."""

_API = "$JS.API"
_INFO = f"{_API}.INFO"  # imported, so that the server doesn't answer for the account itself; nobody may ask it
_EXPORTS = (
    f"{SUBJECT_ROOT}.>",
    _INFO,
    f"{_API}.STREAM.INFO.{STREAM}",
    f"{_API}.STREAM.CREATE.{STREAM}",
    f"{_API}.DIRECT.GET.{STREAM}.>",
    f"{_API}.CONSUMER.CREATE.{STREAM}.>",
    f"{_API}.CONSUMER.INFO.{STREAM}.*",
    f"{_API}.CONSUMER.DELETE.{STREAM}.*",
    f"$JS.ACK.{STREAM}.>",
)
_EXPORTED_STREAMING = f"{_API}.CONSUMER.MSG.NEXT.{STREAM}.*"  # one request, many answers
_OPERATOR_MAY = (
    _INFO,
    f"{_API}.STREAM.INFO.{STREAM}",
    f"{_API}.STREAM.CREATE.{STREAM}",
    f"{_API}.STREAM.DELETE.{STREAM}",
    f"{_API}.DIRECT.GET.{STREAM}.>",
    f"{_API}.CONSUMER.>",
    RELOAD.format("*"),
)


class Standing(StrEnum):
    """How far an agency has come. Only an open one has been told its password."""

    ADDING = "adding"
    OPEN = "open"
    REVOKING = "revoking"


class Agency(msgspec.Struct, frozen=True):
    """An agency that reads the events. `kecamatan` (none: all) are codes; `after` is a stream sequence.

    `durable` ends in what nobody can guess: acknowledgements are addressed by that name, and an answer addressed so is
    the one that the server does not keep inside an account. `log` is which stream `after` is a place in.
    """

    name: str
    durable: str
    password_hash: str
    kecamatan: tuple[str, ...]
    since: datetime
    after: int = 0
    log: str = ""
    standing: Standing = Standing.ADDING

    @property
    def user(self) -> str:
        """Return the name it signs in with."""
        return f"agency-{self.name}"

    @property
    def filter_subjects(self) -> list[str]:
        """Return what it reads."""
        digits = (code.replace(".", "") for code in self.kecamatan)
        return [f"{SUBJECT_ROOT}.*.*.{each}" for each in digits] or [f"{SUBJECT_ROOT}.>"]


def service_may(service: str, declared: Declared) -> list[str]:
    """Return the subjects a service may publish to.

    It reads through consumers of names that are its own; where it reads one service only, a filter in the subject keeps
    it to that one.
    """
    sources = sorted(declared.sources)
    subjects = [
        f"{SUBJECT_ROOT}.{service}.>",
        f"{_API}.STREAM.INFO.{STREAM}",
        f"{_API}.STREAM.CREATE.{STREAM}",
        *(f"{_API}.DIRECT.GET.{STREAM}.{SUBJECT_ROOT}.{source}.>" for source in sources),
    ]
    for name in consumer_names(service):
        create = f"{_API}.CONSUMER.CREATE.{STREAM}.{name}"
        subjects += [f"{create}.{SUBJECT_ROOT}.{source}.>" for source in sources]
        if len(sources) > 1:
            subjects.append(create)
        subjects += [f"{_API}.CONSUMER.{verb}.{STREAM}.{name}" for verb in ("MSG.NEXT", "DELETE")]
    for durable, source, type_ in sorted(declared.reactions):
        create = f"{_API}.CONSUMER.CREATE.{STREAM}.{durable}.{SUBJECT_ROOT}.{source}.{type_}.>"
        subjects += [create, *_uses(durable)]
    return subjects


def agency_may(agency: Agency) -> list[str]:
    """Return the subjects an agency may publish to: its own consumer, and no other."""
    return _uses(agency.durable)


def configuration(
    hashes: Mapping[str, str], agencies: Iterable[Agency], services: Mapping[str, Declared] = DECLARED
) -> str:
    """Return the accounts as a file that a server's configuration includes. `hashes` are bcrypt's, by user."""
    accounts: dict[str, Any] = {
        STREAM_ACCOUNT: {
            "jetstream": "enabled",
            "users": [_user(OPERATOR, hashes[OPERATOR], list(_OPERATOR_MAY), f"_INBOX.{OPERATOR}.>")],
            "exports": [
                *({"service": subject} for subject in _EXPORTS),
                {"service": _EXPORTED_STREAMING, "response_type": "stream"},
            ],
            "imports": [{"service": {"account": SYSTEM_ACCOUNT, "subject": RELOAD.format("*")}}],
        },
        # Nobody signs in there: of all that it could be asked, dinkop is given one thing.
        SYSTEM_ACCOUNT: {"exports": [{"service": RELOAD.format("*"), "accounts": [STREAM_ACCOUNT]}]},
    }
    for service, declared in services.items():
        accounts[f"service-{service}"] = _account(service, hashes[service], service_may(service, declared))
    for agency in agencies:
        accounts[agency.user] = _account(agency.user, agency.password_hash, agency_may(agency))
    text = msgspec.json.format(msgspec.json.encode(accounts), indent=1).decode()
    return f"accounts: {text}\n"


def _uses(durable: str) -> list[str]:
    return [
        f"{_API}.CONSUMER.INFO.{STREAM}.{durable}",
        f"{_API}.CONSUMER.MSG.NEXT.{STREAM}.{durable}",
        f"$JS.ACK.{STREAM}.{durable}.>",
    ]


def _account(user: str, password_hash: str, subjects: list[str]) -> dict[str, Any]:
    imports = [{"service": {"account": STREAM_ACCOUNT, "subject": subject}} for subject in (*subjects, _INFO)]
    return {"users": [_user(user, password_hash, subjects)], "imports": imports}


def _user(user: str, password_hash: str, subjects: list[str], inbox: str = "_INBOX.>") -> dict[str, Any]:
    # Any inbox: nobody else is in the account, and libraries differ in whether they heed a prefix everywhere.
    return {
        "user": user,
        "password": password_hash,
        "permissions": {"publish": {"allow": subjects}, "subscribe": {"allow": [inbox]}},
    }
