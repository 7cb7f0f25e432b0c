"""The POSTs that tell the demonstration's stories, told before the ids that they need are known."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from dinkop.demonstration.regency import SEED, Cooperative

type Service = Literal["registry", "rat", "mentoring", "reporting"]
type Body = dict[str, Any]

COOPERATIVE_ID, REQUEST_ID, REPORT_ID = "{cooperative_id}", "{request_id}", "{report_id}"


@dataclass(frozen=True, slots=True)
class Call:
    """A POST to a service. Of all calls `about` the same, each is made when the one told before it was answered.

    In path and body `{cooperative_id}` stands for the id of the cooperative with `nik`; any other name for what an
    earlier call about the same was answered under that name, such as `{request_id}`.
    """

    service: Service
    about: str
    path: str
    body: Body = field(hash=False)
    nik: str | None = None

    @property
    def idempotency_key(self) -> UUID:
        """Return a key that is always the same for the same call, so that a load can be run again."""
        return uuid5(NAMESPACE_URL, f"{SEED} {self.service} {self.about} {self.path} {json.dumps(self.body)}")

    @property
    def kind(self) -> str:
        """Return what is posted, such as `tracings`."""
        return self.path.rpartition("/")[2]

    def filled(self, ids: Mapping[str, str]) -> tuple[str, Body]:
        """Return path and body with the ids that they stand for. Raises KeyError for one that is not known."""
        known = {f"{{{name}}}": value for name, value in ids.items()}
        body = {name: known.get(told, told) if isinstance(told, str) else told for name, told in self.body.items()}
        return self.path.format_map(ids), body


def about_cooperative(service: Service, cooperative: Cooperative, what: str, body: Body) -> Call:
    """Return a call about a cooperative; `what` is the rest of the path, such as `tracings`."""
    return Call(service, cooperative.nik, f"/v1/cooperatives/{COOPERATIVE_ID}/{what}", body, cooperative.nik)
