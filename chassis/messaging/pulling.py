"""An ephemeral pull consumer on the stream: how it is made, driven and removed, and what its answers say.

The live feed and the fast replay read through the same kind of consumer: it lives in the server's memory, wants
no acknowledgements, and delivers at once what exists and what comes, but never more than was asked for, so that
the memory a reader needs is bounded by what it asks.
"""

import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import msgspec

from chassis.definitions.clock import new_id
from chassis.engine.ports import LogReplaced
from chassis.messaging.address import ANYBODY
from contracts.envelope import SUBJECT_ROOT

type Ask = Callable[[str, bytes], Awaitable[bytes]]
"""Send a request to (subject, payload) and return the answer's payload."""

HEARTBEAT = 1.0
"""Seconds of silence after which the server says that it is still there."""
EXPIRES = 30.0
"""Seconds after which an unfilled pull ends and is asked anew."""
INACTIVE = 10.0
"""Seconds after which the server forgets a consumer that nobody pulls from."""
NAMES = 32
"""Consumers that one owner may have at a time: a server lets a user read by names, and names can't be patterns."""
PULL_BYTES = 8 * 1024 * 1024
"""One pull ends after this many bytes; larger than any one message may be."""


class Interrupted(Exception):
    """Delivery has stopped or shows a gap: make the consumer anew after the last message that was taken."""


@dataclass(frozen=True, slots=True)
class Incarnation:
    """The stream as it stands: `identity` changes when it is made anew, `last` is its last sequence."""

    identity: str
    last: int

    def check(self, identity: str, after: int) -> None:
        """Raise LogReplaced unless a reader of `identity` (empty: any) can go on after sequence `after`."""
        if identity and identity != self.identity:
            raise LogReplaced(f"the stream was made anew at {self.identity}, it was followed since {identity}")
        if after > self.last:
            raise LogReplaced(f"the stream ends at {self.last}, it was read up to {after}")


class _Problem(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _State(msgspec.Struct):
    last_seq: int = 0


class _Answer(msgspec.Struct):
    error: _Problem | None = None
    created: str = ""
    state: _State = msgspec.field(default_factory=_State)
    name: str = ""
    num_pending: int = 0


# JetStream error codes that mean: another consumer has this name.
_TAKEN = frozenset({10013, 10105, 10148})

_decoder = msgspec.json.Decoder(_Answer)


async def look(ask: Ask, stream: str) -> Incarnation:
    """Return the stream as it stands. Raises Interrupted when there is none."""
    answer = _decode(await ask(f"$JS.API.STREAM.INFO.{stream}", b""))
    return Incarnation(answer.created, answer.state.last_seq)


def server_filter(services: Collection[str]) -> str | None:
    """Return the subject filter worth having the server apply, or None to read everything.

    With two filters or more the server (2.15) delivers under 2,000 messages a second from a stream of 300,000,
    a hundredth of what it delivers unfiltered; readers of several services drop the others themselves.
    """
    return f"{SUBJECT_ROOT}.{next(iter(services))}.>" if len(services) == 1 else None


def consumer_names(owner: str) -> list[str]:
    """Return the names that an owner's consumers have."""
    return [f"{owner}-{number:02}" for number in range(NAMES)]


async def make_consumer(ask: Ask, stream: str, owner: str, after: int, subject_filter: str | None) -> tuple[str, int]:
    """Make a consumer that delivers what follows sequence `after`; return its name and what awaits it.

    It takes any name of its owner's that is free. The filter is said in the subject too, for there a server's
    permissions hold it. Raises Interrupted when no name is free: names of readers that died are, after INACTIVE.
    """
    configuration: dict[str, object] = {
        # The server takes the same again for a repetition, and two readers would share one consumer.
        "description": str(new_id()),
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": after + 1,
        "ack_policy": "none",
        "max_deliver": -1,
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _nanoseconds(INACTIVE),
    }
    if subject_filter:
        configuration["filter_subject"] = subject_filter
    # Who needs no permission need not share few names with the ghosts of readers that were killed.
    names = consumer_names(owner) if owner != ANYBODY else [f"{ANYBODY}-{new_id()}"]
    for name in random.sample(names, len(names)):
        subject = ".".join(filter(None, ("$JS.API.CONSUMER.CREATE", stream, name, subject_filter)))
        request = {"stream_name": stream, "action": "create", "config": {**configuration, "name": name}}
        answer = _decoder.decode(await ask(subject, msgspec.json.encode(request)))
        if not (answer.error and answer.error.err_code in _TAKEN):
            return _checked(answer).name, answer.num_pending
    raise Interrupted(f"all {NAMES} consumers of {owner} are in use")


def removal(stream: str, consumer: str) -> str:
    """Return the subject that removes a consumer."""
    return f"$JS.API.CONSUMER.DELETE.{stream}.{consumer}"


class Pulls:
    """Keeps between one and two pulls of `size` messages open, so that delivery never pauses."""

    def __init__(self, stream: str, consumer: str, size: int) -> None:
        self.subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self.size = size
        self.request = msgspec.json.encode(
            {
                "batch": size,
                "max_bytes": PULL_BYTES,
                "expires": _nanoseconds(EXPIRES),
                "idle_heartbeat": _nanoseconds(HEARTBEAT),
            }
        )
        self._open = 0

    def taken(self, messages: int) -> int:
        """Count messages as taken; return how many pulls to send now."""
        self._open -= messages
        due = 0
        while self._open <= self.size:
            self._open += self.size
            due += 1
        return due

    def status(self, headers: Mapping[str, str]) -> None:
        """Take in a status message, such as the end of a pull. Raises Interrupted when the consumer is gone."""
        status, description = headers.get("Status", ""), headers.get("Description", "")
        ended = status in ("404", "408") or (
            status == "409" and description.startswith(("Message Size Exceeds MaxBytes", "Batch Completed"))
        )
        if ended:
            self._open -= int(headers.get("Nats-Pending-Messages", 0))
        elif status != "100":
            raise Interrupted(f"the server ended the delivery: {status} {description}")


def delivered(reply: str) -> tuple[int, int]:
    """Return (stream sequence, consumer sequence) from a message's reply subject. Raises Interrupted.

    `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, or with domain and
    account before the stream.
    """
    tokens = reply.split(".")
    first = 5 if len(tokens) == 9 else 7
    if tokens[:2] != ["$JS", "ACK"] or len(tokens) < 9:
        raise Interrupted(f"a message without its place in the stream (reply subject {reply!r})")
    return int(tokens[first]), int(tokens[first + 1])


def kind(subject: str) -> tuple[str, str]:
    """Return (service, event type) of a subject; empty where the subject is too short."""
    tokens = subject.split(".")
    return tokens[2] if len(tokens) > 2 else "", tokens[3] if len(tokens) > 3 else ""


def _decode(answer: bytes) -> _Answer:
    return _checked(_decoder.decode(answer))


def _checked(answer: _Answer) -> _Answer:
    if answer.error:
        raise Interrupted(f"the server answers {answer.error.code}: {answer.error.description}")
    return answer


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
