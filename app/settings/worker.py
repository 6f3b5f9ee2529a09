"""The process itself: its folder, its web endpoint, its bounds."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from app.process.logs import LogFormat
from app.settings.base import Group, either, host, not_of_kubernetes, separated
from app.tracing.spans import installed

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")
"""What `Authorization: Bearer` can carry (RFC 6750), and long enough not to be guessed."""


class WorkerSettings(Group):
    """The worker process."""

    datadir: Path = Path(".persister-data")
    """Faust's working folder; nothing in it needs to survive a restart."""

    web_host: Annotated[str, AfterValidator(host)] = "127.0.0.1"
    """Address that the web endpoint listens on; also `--web-host` of `persister worker`."""

    web_port: Annotated[int, BeforeValidator(not_of_kubernetes(6066))] = Field(6066, ge=1, le=65535)
    """Port of the web endpoint; also `--web-port`."""

    web_token: SecretStr | None = None
    """Token required of requests from other machines, except for health; at least 16 characters."""

    web_token_file: Path | None = None
    """File whose first line is the token."""

    web_names: Annotated[frozenset[str], NoDecode, BeforeValidator(separated)] = frozenset()
    """Host names, separated by commas, that requests without the token may address."""

    log_format: LogFormat = LogFormat.TEXT
    """Format of the log: plain lines, or a JSON object on each line."""

    activity: bool = True
    """Whether the status page and `/status` show which namespaces and actions run, fail and wait
    most."""

    metrics_namespaces: Annotated[frozenset[str], NoDecode, BeforeValidator(separated)] = (
        frozenset()
    )
    """Namespaces, separated by commas, that get metrics of their own."""

    tracing: bool = False
    """Whether to send spans to the OpenTelemetry collector that the `OTEL_*` variables name."""

    shutdown_deadline: float = Field(10.0, gt=0, le=600)
    """Seconds that in-flight work may take to finish when the worker is told to stop."""

    stuck_after: float = Field(60.0, ge=0, le=86_400)
    """Seconds without progress after which a worker exits, if a restart may help; 0: never."""

    in_flight_documents: int = Field(16_000, ge=1)
    """Unsettled documents from the internal topic at which fetching pauses; with
    `PERSISTER_DOCUMENTS_PER_SECOND`, five seconds' worth that no request has taken, too."""

    in_flight_bytes: int = Field(64 * 1024 * 1024, ge=1024)
    """Total bytes of unsettled documents at which fetching pauses; half as much again, like the
    number, while documents fail that may be to blame."""

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
