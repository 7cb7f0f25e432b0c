"""What a service is told by its environment: variables `DINKOP_…`, and files where secrets should not be variables."""

import base64
import binascii
import os
from datetime import date
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

_MASTER_KEY_BYTES = 32
SECRETS = "DINKOP_SECRETS"
"""Names a folder, such as /run/secrets: a file `dinkop_database_url` in it is the setting `database_url`."""


class Settings(BaseSettings):
    """Settings of one service. Every one is an environment variable: `database_url` is DINKOP_DATABASE_URL.

    An empty variable counts as none. What no variable says, a file of the folder that DINKOP_SECRETS names may say.
    """

    model_config = SettingsConfigDict(
        env_prefix="DINKOP_", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    database_url: str = Field(repr=False, description="libpq URL of this service's own database")
    migration_url: str | None = Field(
        None, repr=False, description="the same for the role that owns the database; only `migrate` may have it"
    )
    nats_url: str = Field(
        "nats://127.0.0.1:4222",
        description="NATS server or servers, comma-separated; `nats://user:password@host:port`, `tls://…` to encrypt",
        repr=False,
    )
    nats_ca: Path | None = Field(None, description="certificates that vouch for the NATS servers; turns TLS on")
    nats_certificate: Path | None = Field(None, description="this service's own certificate, where NATS asks for one")
    nats_key: Path | None = Field(None, description="the key of that certificate, if it is in a file of its own")
    nats_monitoring_url: str = Field(
        "http://127.0.0.1:8222",
        description="HTTP monitoring of that server, or of all of a cluster, comma-separated: asked whether they sync"
        " before they acknowledge",
    )
    nats_replicas: int = Field(1, ge=1, le=5, description="replicas of the stream: 1 alone, 3 on a cluster")
    host: str = Field("127.0.0.1", description="address to listen on; loopback unless you say otherwise")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    drain_seconds: float = Field(
        0,
        ge=0,
        le=60,
        description="how long SIGTERM lets a service go on, not ready any more, until nobody sends it calls",
    )
    today: date | None = Field(None, description="pins the calendar day, for demonstrations; recorded times stay real")
    log_level: str = Field("info", description="debug, info, warning or error")
    otlp_endpoint: str | None = Field(None, description="OpenTelemetry collector (HTTP); no traces are kept without")
    connections: int = Field(8, ge=2, le=100, description="database connections of each of the two pools")
    grace_hours: float = Field(
        24, gt=0, description="hours for which the generation before the live one is kept up to date, to be put back"
    )
    oidc_issuer: str | None = Field(
        None, description="whose tokens are believed: the issuer as its tokens name it; needed to serve"
    )
    oidc_audience: str = Field("dinkop", description="for whom tokens must be made")
    oidc_jwks: str | None = Field(
        None, description="the issuer's keys, a URL or a file; default: where its OpenID configuration says"
    )
    oidc_roles_claim: str = Field(
        "roles", description="the claim that lists a caller's roles; dots lead inwards: realm_access.roles"
    )
    writes_per_second: int = Field(
        1_000, ge=1, description="commands that one caller may send to a process each second, on average over ten"
    )
    failed_tokens_per_minute: int = Field(
        60, ge=1, description="tokens from one address that may fail before it is told to wait"
    )
    master_key: SecretStr | None = Field(
        None, description="32 random bytes in base64, wrapping the keys of personal data; mentoring needs it"
    )

    keys: Path | None = Field(
        None, description="folder of the keys of personal data, one file a subject; mentoring needs it"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from, the first that has one first."""
        folder = os.environ.get(SECRETS)
        files = [SecretsSettingsSource(settings_cls, folder)] if folder and Path(folder).is_dir() else []
        return (init_settings, env_settings, *files)

    @field_validator("master_key")
    @classmethod
    def _is_a_key(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and len(_decoded(given)) != _MASTER_KEY_BYTES:
            raise ValueError("must be 32 random bytes in base64, as `openssl rand -base64 32` prints them")
        return given

    def environment(self) -> dict[str, str]:
        """Return what a replay needs to know, as the environment that a process of this service is given."""
        told = (
            "database_url",
            "nats_url",
            "nats_ca",
            "nats_certificate",
            "nats_key",
            "today",
            "log_level",
        )
        given = {name: getattr(self, name) for name in told}
        return {f"DINKOP_{name.upper()}": str(value) for name, value in given.items() if value is not None}

    @property
    def master_key_bytes(self) -> bytes | None:
        """Return the master key itself, or None when none is set."""
        return None if self.master_key is None else _decoded(self.master_key)


def _decoded(key: SecretStr) -> bytes:
    try:
        return base64.b64decode(key.get_secret_value().strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
