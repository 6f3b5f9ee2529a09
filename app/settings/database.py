"""The database and the pace of writing to it."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from yarl import URL

from app.settings.base import Group, host, secret_from
from app.settings.security import client_context


def _http_url(value: str) -> str:
    value = value.strip()
    value = value if "://" in value else f"http://{value}"
    url = URL(value)
    if url.scheme not in ("http", "https") or not url.host:
        msg = "expected host:port, http://host:port or https://host:port"
        raise ValueError(msg)
    host(url.host)
    if url.user or url.password:
        msg = "credentials go into PERSISTER_COUCHDB_USER and PERSISTER_COUCHDB_PASSWORD[_FILE]"
        raise ValueError(msg)
    if url.query_string or url.fragment:
        msg = "nothing may follow the address: no ? and no #"
        raise ValueError(msg)
    return value.rstrip("/")


def _user(value: str | None) -> str | None:
    if value and ":" in value:
        msg = "a user name cannot have a colon in it: HTTP sends it as name:password"
        raise ValueError(msg)
    return value


def _authority(file: Path | None) -> Path | None:
    if file is None:
        return None
    try:
        client_context(file)
    except OSError as error:
        raise ValueError(
            f"cannot be used ({error.strerror or error}): expected a file that can be read, with "
            "the authority's certificate as PEM; unset it if the system trusts the authority"
        ) from error
    return file


class DatabaseSettings(Group):
    """The database and the pace of writing to it."""

    url: Annotated[str, AfterValidator(_http_url)] = Field(
        "http://127.0.0.1:5984", alias="PERSISTER_COUCHDB_URL"
    )
    """Address of CouchDB, without credentials: they have settings of their own."""

    user: Annotated[str | None, AfterValidator(_user)] = Field(None, alias="PERSISTER_COUCHDB_USER")
    """User name to log in with."""

    password: SecretStr | None = Field(None, alias="PERSISTER_COUCHDB_PASSWORD")
    """Password of that user; a password file takes precedence."""

    password_file: Path | None = Field(None, alias="PERSISTER_COUCHDB_PASSWORD_FILE")
    """File whose first line is the password; read again when CouchDB refuses the password."""

    ca_file: Annotated[Path | None, AfterValidator(_authority)] = Field(
        None, alias="PERSISTER_COUCHDB_CA_FILE"
    )
    """Certificate authorities (PEM) trusted for https instead of the system's."""

    name: str = Field(
        "whisk_local_activations", alias="PERSISTER_DATABASE", pattern=r"^[a-z][a-z0-9_$()+/-]*$"
    )
    """Name of OpenWhisk's activations database."""

    create: bool = Field(True, alias="PERSISTER_DATABASE_CREATE")
    """Whether to create the database and its design documents if they are missing."""

    several: bool = Field(False, alias="PERSISTER_SEVERAL_DATABASES")
    """Whether workers of one `PERSISTER_APP_ID` may write to different databases: for a move from
    one to another."""

    request_timeout: float = Field(60.0, gt=0)
    """Timeout of a request in seconds."""

    request_documents: int = Field(1000, ge=1, le=10_000)
    """Maximum documents in a bulk request."""

    request_bytes: int = Field(8 * 1024 * 1024, ge=1024)
    """Maximum bytes in a bulk request; a larger document travels alone."""

    requests_in_flight: int = Field(4, ge=1, le=64)
    """Maximum concurrent requests per worker."""

    documents_per_second: float = Field(0.0, ge=0)
    """Maximum documents per second and worker, and in a request; 0: unlimited."""

    linger: float = Field(0.1, ge=0, le=10)
    """Seconds that documents wait for a request in flight before another one starts beside it."""

    view_refresh_seconds: float = Field(0.5, ge=0, le=3600)
    """Minimum seconds between requests that have CouchDB update the views of a design document,
    while documents are written; 0: leave the updates to CouchDB."""

    @property
    def documents_of_a_second(self) -> int | None:
        """How many documents a second allows, at least one; None without a maximum."""
        return max(1, int(self.documents_per_second)) if self.documents_per_second else None

    @model_validator(mode="after")
    def _password(self) -> Self:
        password = secret_from(self.password_file, self.password, "PERSISTER_COUCHDB_PASSWORD")
        object.__setattr__(self, "password", password)
        if self.user and not self.password:
            msg = "PERSISTER_COUCHDB_USER needs PERSISTER_COUCHDB_PASSWORD or ..._PASSWORD_FILE"
            raise ValueError(msg)
        return self
