"""Publishing to the stream in order, all or nothing, and only as the one relay of a service."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from chassis.definitions.clock import new_id
from chassis.engine.ports import Fenced, LastPublished, PublicMessage
from contracts.envelope import STREAM, SUBJECT_ROOT, MalformedEnvelope

# The server's bound on one atomic batch (ADR-50).
BATCH = 1_000


class _Problem(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Acknowledgement(msgspec.Struct):
    seq: int = 0
    error: _Problem | None = None
    duplicate: bool = False


_acknowledgement = msgspec.json.Decoder(_Acknowledgement)

# JetStream error codes that mean: the stream is not where we thought it is.
# 10060/10071 wrong last sequence, 10164/10201 wrong in a batch or a message id seen before.
_FENCED = frozenset({10060, 10070, 10071, 10164, 10201})


class JetStreamLog:
    """The stream as the relay writes it (engine.ports.PublicLog)."""

    def __init__(self, client: Client, timeout: float = 5.0) -> None:
        """Publish through `client`; an answer may take `timeout` seconds."""
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream(timeout=timeout)
        self._timeout = timeout

    async def last(self, service: str) -> LastPublished:
        """Return the last message of a service; sequence 0 when it has none.

        Raises MalformedEnvelope when that message is no event: somebody else published it.
        """
        try:
            # Direct, for its subject names what is read, so that a service can be let read its own and no more.
            message = await self._jetstream.get_last_msg(STREAM, _filter(service), direct=True)
        except NotFoundError:
            return LastPublished(0, None, 0)
        headers = message.headers or {}
        try:
            return LastPublished(int(headers["ce-sequence"]), UUID(headers["ce-id"]), message.seq or 0)
        except (KeyError, ValueError) as wrong:
            raise MalformedEnvelope(
                f"The stream's last message of {service} (stream sequence {message.seq}) is no event: somebody else"
                " published it. Nothing can follow it: see `dinkop reconcile`."
            ) from wrong

    async def publish(self, service: str, messages: Sequence[PublicMessage], after: LastPublished) -> LastPublished:
        """Publish in order, all or nothing, only if `after` is still the service's last message.

        The server itself compares: a relay that lost its lock without noticing cannot write. Raises Fenced
        then, and when a message id was seen before; TimeoutError or a connection error leaves the outcome
        unknown, and the caller reads `last` again.
        """
        if len(messages) > BATCH:
            raise ValueError(f"at most {BATCH} messages in one atomic batch, not {len(messages)}")
        fence = {
            "Nats-Expected-Last-Subject-Sequence": str(after.log_sequence),
            "Nats-Expected-Last-Subject-Sequence-Subject": _filter(service),
        }
        if len(messages) == 1:
            [message] = messages
            reply = await self._client.request(
                message.subject, message.data, timeout=self._timeout, headers=message.envelope.headers() | fence
            )
        else:
            reply = await self._publish_batch(messages, fence)
        last = messages[-1].envelope
        return LastPublished(last.sequence, last.id, _acknowledged(reply))

    async def _publish_batch(self, messages: Sequence[PublicMessage], fence: dict[str, str]) -> Msg:
        batch = str(new_id())
        extra = fence
        for number, message in enumerate(messages[:-1], 1):
            headers = message.envelope.headers() | extra
            headers["Nats-Batch-Id"] = batch
            headers["Nats-Batch-Sequence"] = str(number)
            await self._client.publish(message.subject, message.data, headers=headers)
            extra = {}
        last = messages[-1]
        headers = last.envelope.headers()
        headers["Nats-Batch-Id"] = batch
        headers["Nats-Batch-Sequence"] = str(len(messages))
        headers["Nats-Batch-Commit"] = "1"
        return await self._client.request(last.subject, last.data, timeout=self._timeout, headers=headers)


def _filter(service: str) -> str:
    return f"{SUBJECT_ROOT}.{service}.>"


def _acknowledged(reply: Msg) -> int:
    answer = _acknowledgement.decode(reply.data)
    if answer.error:
        if answer.error.err_code in _FENCED:
            raise Fenced(answer.error.description)
        raise APIError(answer.error.code, answer.error.description, answer.error.err_code)
    if answer.duplicate:
        raise Fenced("the stream has this message id already")
    return answer.seq


UNREACHABLE = (nats.errors.Error, TimeoutError, OSError)
