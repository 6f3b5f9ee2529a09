"""The process itself: its folder, its web endpoint, its bounds."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from app.process.logs import LogFormat
from app.settings.base import Group, either, separated
from app.tracing.spans import installed

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")
"""What `Authorization: Bearer` can carry (RFC 6750), and long enough not to be guessed."""


class WorkerSettings(Group):
    """The process itself."""

    datadir: Path = Path(".persister-data")
    """Faust's working folder; nothing in it has to last."""

    web_host: str = "127.0.0.1"
    """Address that the web endpoint listens on; or `--web-host` of `persister worker`."""

    web_port: int = Field(6066, ge=0, le=65535)
    """Its port; or `--web-port`."""

    web_token: SecretStr | None = None
    """What a request from elsewhere must carry, for anything but health: at least 16 characters."""

    web_token_file: Path | None = None
    """File whose first line is the token."""

    web_names: Annotated[frozenset[str], NoDecode, BeforeValidator(separated)] = frozenset()
    """Host names, separated by commas, by which the endpoint is asked for without the token."""

    log_format: LogFormat = LogFormat.TEXT
    """Of the log: lines for people, or a JSON object on each."""

    activity: bool = True
    """Whether the page and `/status` show which namespaces and actions run, fail and wait most."""

    metrics_namespaces: Annotated[frozenset[str], NoDecode, BeforeValidator(separated)] = (
        frozenset()
    )
    """Namespaces, separated by commas, that `/metrics` counts one by one."""

    tracing: bool = False
    """Whether spans are sent to the collector of OpenTelemetry that `OTEL_*` variables name."""

    shutdown_deadline: float = Field(10.0, gt=0, le=600)
    """Seconds for in-flight work when the worker is told to stop."""

    stuck_after: float = Field(60.0, ge=0, le=86_400)
    """Seconds after which a worker ends whose work stands still, where a restart may help; 0:
    never."""

    in_flight_documents: int = Field(16_000, ge=1)
    """Documents taken from the internal topic and not settled yet, at which fetching pauses."""

    in_flight_bytes: int = Field(64 * 1024 * 1024, ge=1024)
    """Their bytes, at which fetching pauses."""

    @field_validator("tracing")
    @classmethod
    def _can_trace(cls, tracing: bool) -> bool:  # noqa: FBT001 - pydantic's signature
        if tracing and not installed():
            raise ValueError(
                "needs packages that are not installed: "
                "pip install 'openwhisk-activation-persister[tracing]'"
            )
        return tracing

    @model_validator(mode="after")
    def _token(self) -> Self:
        token = either(self.web_token_file, self.web_token, "PERSISTER_WEB_TOKEN")
        if token and not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError(
                "PERSISTER_WEB_TOKEN[_FILE]: the token must be at least 16 letters, digits or "
                "-._~+/= (for example from: openssl rand -hex 32)"
            )
        object.__setattr__(self, "web_token", token)
        return self
