"""The CloudEvents 1.0 envelope that carries every public event (NATS protocol binding, binary mode)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, NamedTuple, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

STREAM = "DINKOP"
SUBJECT_ROOT = "dinkop.v1"
TYPE_ROOT = "id.go.malangkab.dinkop"
UNKNOWN_KECAMATAN = "000000"
SERVICES = ("registry", "rat", "mentoring", "reporting")


class PublicEvent(BaseModel):
    """A public fact. Readers ignore fields they do not know; a new one is always optional."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True, serialize_by_alias=True)

    service: ClassVar[str]
    schema_version: ClassVar[int] = 1

    @classmethod
    def type_name(cls) -> str:
        """Return the event type as it stands in subjects, such as `RATHeld`."""
        return cls.__name__

    @classmethod
    def cloud_event_type(cls) -> str:
        """Return `ce-type`, such as `id.go.malangkab.dinkop.rat.RATHeld.v1`."""
        return f"{TYPE_ROOT}.{cls.service}.{cls.type_name()}.v{cls.schema_version}"

    @classmethod
    def schema_id(cls) -> str:
        """Return `ce-dataschema`, the `$id` of the JSON Schema."""
        return f"urn:dinkop:{cls.service}:{cls.type_name()}:v{cls.schema_version}"

    @property
    def kecamatan_of_subject(self) -> str | None:
        """Return the Kemendagri code of the kecamatan this event is filed under, or None."""
        code = getattr(self, "kecamatan_code", None)
        return code if isinstance(code, str) else None


class MalformedEnvelope(ValueError):
    """A message on the stream lacks a header that the envelope requires, or carries an unreadable one."""


class Envelope(NamedTuple):
    """The headers of one public event, typed.

    `sequence` is the service's gapless number, from 1; `stream_version` the version of the subject's stream.
    """

    id: UUID
    service: str
    type: str
    schema_version: int
    subject: UUID
    time: datetime
    sequence: int
    stream_version: int
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None

    def headers(self) -> dict[str, str]:
        """Return the NATS headers, exactly as interface documents them."""
        id_ = str(self.id)
        headers = {
            "ce-specversion": "1.0",
            "ce-id": id_,
            "ce-source": f"/dinkop/{self.service}",
            "ce-type": f"{TYPE_ROOT}.{self.service}.{self.type}.v{self.schema_version}",
            "ce-subject": str(self.subject),
            "ce-time": timestamp(self.time),
            "ce-dataschema": f"urn:dinkop:{self.service}:{self.type}:v{self.schema_version}",
            "ce-datacontenttype": "application/json",
            "ce-sequence": str(self.sequence),
            "ce-streamversion": str(self.stream_version),
            "ce-correlationid": self.correlation_id,
            "Nats-Msg-Id": id_,
        }
        if self.causation_id:
            headers["ce-causationid"] = self.causation_id
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        return headers

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self:
        """Read an envelope back. Raises MalformedEnvelope, naming what is wrong."""
        try:
            prefix, service, type_, version = headers["ce-type"].rsplit(".", 3)
            if prefix != TYPE_ROOT or not version.startswith("v"):
                raise MalformedEnvelope(f"ce-type {headers['ce-type']!r} is not one of {TYPE_ROOT}")
            return cls(
                id=UUID(headers["ce-id"]),
                service=service,
                type=type_,
                schema_version=int(version[1:]),
                subject=UUID(headers["ce-subject"]),
                time=datetime.fromisoformat(headers["ce-time"]),
                sequence=int(headers["ce-sequence"]),
                stream_version=int(headers["ce-streamversion"]),
                correlation_id=headers["ce-correlationid"],
                causation_id=headers.get("ce-causationid"),
                traceparent=headers.get("traceparent"),
            )
        except KeyError as missing:
            raise MalformedEnvelope(f"header {missing} is missing") from missing
        except MalformedEnvelope:
            raise
        except ValueError as unreadable:
            raise MalformedEnvelope(str(unreadable)) from unreadable


def nats_subject(service: str, type_: str, kecamatan_code: str | None) -> str:
    """Return the NATS subject of an event: `dinkop.v1.<service>.<EventType>.<six digits>`."""
    return f"{SUBJECT_ROOT}.{service}.{type_}.{(kecamatan_code or '').replace('.', '') or UNKNOWN_KECAMATAN}"


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
