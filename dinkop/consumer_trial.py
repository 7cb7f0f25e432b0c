"""What `dinkop consumer-test` does to an agency's handler, stage by stage, and what it must then have."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from contracts import releases
from contracts.completeness import WHOLE, Manifest, differences, filed_under, fingerprint
from contracts.envelope import SERVICES, TYPE_ROOT
from dinkop.consumer_handlers import Handler, Silent

MANIFEST = {"do": "manifest"}
ITEM = ("service", "kecamatan", "first", "last", "count", "digest")
"""What an item of a manifest must have; there may be more."""
_IDS = UUID("018fd5a0-6c00-7000-8000-000000000016")

type Message = tuple[dict[str, str], dict[str, Any] | str]
"""Headers, and data as a value or as text."""


class Delivery(NamedTuple):
    """An event as it is delivered; `what` names it to people."""

    service: str
    sequence: int
    what: str
    headers: dict[str, str]
    data: str

    def question(self) -> dict[str, Any]:
        """Return it as the handler is asked to take it."""
        return {"do": "message", "headers": self.headers, "data": self.data}


class Wrong(Exception):
    """The handler made a mistake; the text says which, in words for who wrote it."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a stage went: `problem` is empty when the handler did well, `deliveries` how many messages it was sent."""

    stage: str
    deliveries: int
    problem: str = ""


class Trial:
    """One handler being tried. It must begin with nothing."""

    def __init__(self, handler: Handler, *, everything: bool) -> None:
        """Try `handler`; `everything` is false for one that gets some kecamatan only and can't see gaps."""
        self._handler = handler
        self._everything = everything
        self._given: list[Delivery] = []
        self._sent = 0

    async def run(self) -> AsyncIterator[Result]:
        """Yield a result a stage, the last one being the first that went wrong."""
        old, unheard = released_events(), unheard_of_events()
        third = len(old) // 3
        stages: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("an empty beginning", lambda: self._take(())),
            ("every event once, in order", lambda: self._take(old[:third])),
            ("everything again, backwards: duplicates", lambda: self._repeat(reversed(self._given))),
            ("each event twice: a lost acknowledgement", lambda: self._take(old[third : 2 * third], times=2)),
            ("another order between services", lambda: self._take(_by_service(old[2 * third :]))),
            ("types, versions, fields and headers it can't know", lambda: self._take(numbered(unheard, self._given))),
            ("an event that comes late", self._late),
            ("kill -9, and what it had not acknowledged again", self._killed),
            ("the whole stream published anew", lambda: self._repeat(_by_service(self._given))),
        )
        for name, stage in stages:
            self._sent, problem = 0, ""
            try:
                if await stage() is False:
                    continue
                await self._compare()
            except (Wrong, Silent) as mistake:
                problem = f"It {mistake}."
            yield Result(name, self._sent, problem)
            if problem:
                return

    async def _take(self, events: Iterable[Delivery], times: int = 1) -> None:
        for event in events:
            for time in range(times):
                await self._accepted(event, "again: a redelivery must be acknowledged too" if time else "")
            self._given.append(event)

    async def _repeat(self, events: Iterable[Delivery]) -> None:
        for event in list(events):
            await self._accepted(event, "again: a duplicate must be acknowledged, or it comes for ever")

    async def _late(self) -> bool:
        if not self._everything:
            return False
        late, early = numbered(released_events()[:1] * 2, self._given)
        if await self._send(early):
            missing = f"{late.service}:{late.sequence}"
            raise Wrong(f"acknowledged {early.what} although {missing} had not come: a loss would go unseen")
        await self._take((late, early))
        return True

    async def _killed(self) -> bool:
        if not await self._handler.kill():
            return False
        await self._repeat(self._given[-3:])
        return True

    async def _accepted(self, event: Delivery, why: str) -> None:
        if not await self._send(event):
            raise Wrong(f"did not acknowledge {event.what}" + (f", which came {why}" if why else ", which was due"))

    async def _send(self, event: Delivery) -> bool:
        self._sent += 1
        try:
            answer = await self._handler.ask(event.question())
        except Silent as silence:
            raise Wrong(f"{silence} when {event.what} came") from silence
        if not isinstance(answer.get("ack"), bool):
            raise Wrong(
                f'answered {json.dumps(answer)[:80]} to {event.what}; due is {{"ack": true}} or {{"ack": false}}'
            )
        return bool(answer["ack"])

    async def _compare(self) -> None:
        answer = await self._handler.ask(MANIFEST)
        try:
            items = [{name: item[name] for name in ITEM} for item in answer["items"]]
        except (KeyError, TypeError):
            raise Wrong("did not answer with a manifest, as `dinkop events manifest --json` prints one") from None
        had = {(item["service"], item["kecamatan"]): item for item in items}
        due = manifest_of(self._given).items()
        for item in due:
            nothing = {"first": 0, "last": 0, "count": 0, "digest": ""}
            had.setdefault((item["service"], item["kecamatan"]), item | nothing)
        claimed = [item for item in had.values() if self._everything or item["kecamatan"] != WHOLE]
        if problems := list(differences(claimed, due)):
            more = f" (and {len(problems) - 1} more differ)" if len(problems) > 1 else ""
            raise Wrong(f"has something else than it was given: {problems[0]}{more}")


def released_events() -> list[Delivery]:
    """Return every sample of every released version of the contracts, once each, numbered anew."""
    samples: dict[str, Mapping[str, Any]] = {}
    for promised in releases.released().values():
        for name, promise in promised.items():
            example = promise["example"]
            samples.setdefault(json.dumps([name, example["data"]], sort_keys=True), example)
    messages = sorted(samples.values(), key=lambda message: str(message["headers"]["ce-time"]))
    return numbered([(dict(each["headers"]), dict(each["data"])) for each in messages], ())


def unheard_of_events() -> list[Message]:
    """Return events as a later version of dinkop may publish them."""
    known = [(event.headers, json.loads(event.data)) for event in released_events()]
    headers, data = next(each for each in known if ".RATHeld." in each[0]["ce-type"])
    of_a_new_type = {"ce-type": f"{TYPE_ROOT}.rat.RATStreamed.v1", "ce-dataschema": "urn:dinkop:rat:RATStreamed:v1"}
    of_version_2 = {"ce-type": f"{TYPE_ROOT}.rat.RATHeld.v2", "ce-dataschema": "urn:dinkop:rat:RATHeld:v2"}
    of_no_place = {name: value for name, value in data.items() if name != "kecamatan_code"}
    return [
        (
            headers | of_a_new_type,
            {"cooperative_id": data["cooperative_id"], "kecamatan_code": "35.07.21", "viewers": 3},
        ),
        (headers | of_a_new_type, {"watched": [{"by": "everybody", "for": None}]}),
        (headers | of_version_2, of_no_place | {"held": {"on": data["held_on"], "at": "19:30"}}),
        # Written as others may write JSON: only the bytes as they came have the right digest.
        (headers, json.dumps(data | {"of_a_later_version": {"deep": [1, 2.0, None, "é"]}}).replace("2.0", "2.00")),
        (headers | {"ce-newextension": "7", "X-Trace": "é"}, data),
    ]


def numbered(messages: Iterable[Message | Delivery], after: Sequence[Delivery]) -> list[Delivery]:
    """Return messages with the numbers and ids that come next after those given before."""
    last = {service: max((e.sequence for e in after if e.service == service), default=0) for service in SERVICES}
    deliveries = []
    for message in messages:
        headers, data = (message.headers, message.data) if isinstance(message, Delivery) else message
        service, type_, version = headers["ce-type"].split(".")[-3:]
        last[service] += 1
        id_ = str(uuid5(_IDS, f"{service} {last[service]}"))
        headers = headers | {"ce-sequence": str(last[service]), "ce-id": id_, "Nats-Msg-Id": id_}
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        what = f"{service}:{last[service]} ({type_}.{version})"
        deliveries.append(Delivery(service, last[service], what, headers, text))
    return deliveries


def manifest_of(events: Iterable[Delivery]) -> Manifest:
    """Return what a consumer must have that was given these events."""
    manifest = Manifest()
    for event in sorted(events, key=lambda event: (event.service, event.sequence)):
        type_ = event.headers["ce-type"].split(".")[-2]
        id_, subject = event.headers["ce-id"], event.headers["ce-subject"]
        filed = filed_under(json.loads(event.data).get("kecamatan_code"))
        manifest.add(
            event.service, filed, event.sequence, fingerprint(event.sequence, id_, type_, subject, event.data.encode())
        )
    return manifest


def _by_service(events: Iterable[Delivery]) -> list[Delivery]:
    """Return events with each service's own order kept, and all of the last service first."""
    return sorted(events, key=lambda event: -SERVICES.index(event.service))
