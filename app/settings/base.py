"""The base class of every group of settings."""

import difflib
import errno
import re
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.process.printable import printable, shown

PREFIX = "PERSISTER_"

LARGEST = 10**12
"""Of any number: as seconds 30,000 years, as bytes a terabyte. Beyond it clocks, time-outs and
Kafka's own settings end, each in its own way."""

_LONGEST = 2000
"""Characters of what is said about one setting."""


class Bounded(BaseSettings):
    """Settings whose numbers are of this world."""

    @field_validator("*")
    @classmethod
    def _of_this_world(cls, value: Any) -> Any:
        if isinstance(value, int | float) and value > LARGEST:
            raise ValueError(f"should be at most {LARGEST}")
        return value


class Group(Bounded):
    """A group of settings; an empty variable counts as not given."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        allow_inf_nan=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's signature, also the last two
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Code may give a value by its field's name; in the environment only the alias counts.

        Otherwise PERSISTER_PASSWORD, say, would be one of the database's too.
        """
        env_settings.config = {**env_settings.config, "validate_by_name": False}
        return init_settings, env_settings


def variable_of(group: type[Group], field: str) -> str:
    """The name of the variable from which a field of a group is read."""
    return group.model_fields[field].alias or PREFIX + field.upper()


def variables(group: type[Group]) -> set[str]:
    """The names of the variables that a group reads."""
    return {variable_of(group, field) for field in group.model_fields}


def misspelt(given: Iterable[str], known: Collection[str], prefix: str) -> list[str]:
    """What is wrong with variables that begin with a prefix and that nobody reads, a line each.

    Kubernetes gives every container variables named after its services (`<SERVICE>_PORT` and the
    like), so that a service called like the prefix makes some of its own; they mean nothing here.

    Args:
        given: names of variables, in any case.
        known: those that are read.
        prefix: what is ours.
    """
    ours = {name.upper() for name in given if name.upper().startswith(prefix)}
    lines = []
    for name in sorted(ours - set(known)):
        if _OF_KUBERNETES.fullmatch(name.removeprefix(prefix)):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
        meant = f"; {near[0]} is the nearest name that is one" if near else ""
        lines.append(f"{name} is no setting{meant}: correct or unset it")
    return lines


def unreadable(environment: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Which of the known variables are no text, a line each."""
    return [
        f"{name}: its value is not UTF-8 text"
        for name, value in sorted(environment.items())
        if name.upper() in known and not _is_text(value)
    ]


def _is_text(value: str) -> bool:
    # Python keeps other bytes as surrogates, which nothing can send or show.
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def host(value: str) -> str:
    """The name of a host, or its address, that can be looked up; raises `ValueError` for others."""
    with suppress(ValueError):
        ip_address(value)
        return value
    with suppress(UnicodeError):
        if _HOST.fullmatch(value.encode("idna").decode()):
            return value
    raise ValueError("expected the name of a host, or its address")


_HOST = re.compile("[A-Za-z0-9._-]{1,253}")


def not_of_kubernetes(default: int) -> Callable[[object], object]:
    """What a variable of a port says, but for the address that Kubernetes puts there.

    So it is where a service is named like the variable without `_PORT`. Who runs the pod has not
    set it, and may not know of that service.

    Args:
        default: counts instead.
    """

    def given(value: object) -> object:
        of_a_service = isinstance(value, str) and _ADDRESS_OF_A_SERVICE.match(value)
        return default if of_a_service else value

    return given


_ADDRESS_OF_A_SERVICE = re.compile("(?:tcp|udp|sctp)://")

_OF_KUBERNETES = re.compile(r"(?:.*_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT(?:_\d+_.*)?)")

_NEAR = 0.6
"""Likeness from which on a name is suggested, as `difflib` measures it."""


def separated(value: object) -> object:
    """What a variable names, separated by commas; anything but text as it is."""
    if not isinstance(value, str):
        return value
    return frozenset(part.strip() for part in value.split(",") if part.strip())


_LONGEST_SECRET = 64 * 1024


def secret_from(file: Path | None, secret: SecretStr | None, variable: str) -> SecretStr | None:
    """The secret itself, or the first line of the file that holds it."""
    if file is None:
        return secret
    try:
        line = _first_line(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"{variable}_FILE: cannot read {shown(file)}: {reason}") from error
    if not line:
        raise ValueError(f"{variable}_FILE: the first line of {shown(file)} is empty")
    return SecretStr(line)


def _first_line(file: Path) -> str:
    # A pipe would be waited for, by a running worker too, and a device may have no end.
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    with file.open("rb") as opened:
        line = opened.readline(_LONGEST_SECRET + 1)
    if len(line) > _LONGEST_SECRET:
        raise OSError(errno.EFBIG, f"its first line is longer than {_LONGEST_SECRET} bytes")
    return line.decode().removesuffix("\n").removesuffix("\r")


def either(file: Path | None, secret: SecretStr | None, variable: str) -> SecretStr | None:
    """As `secret_from`, but not when both are given: nobody could tell which one counts."""
    if file and secret:
        raise ValueError(f"{variable} and {variable}_FILE are both given: unset one of them")
    return secret_from(file, secret, variable)


_OF_A_SECRET = ("PASSWORD_FILE", "TOKEN_FILE", "KEY_FILE")


def open_secrets(groups: Iterable[Group]) -> list[str]:
    """Which files of secrets everybody on this machine may read, a line each."""
    lines = []
    for group in groups:
        for field in type(group).model_fields:
            variable, file = variable_of(type(group), field), getattr(group, field)
            if not (variable.endswith(_OF_A_SECRET) and isinstance(file, Path)):
                continue
            if file.stat().st_mode & stat.S_IROTH:
                lines.append(
                    f"{variable}: every user of this machine may read {file}: chmod o-r it "
                    "(of a Kubernetes secret: defaultMode: 0440)"
                )
    return lines


def explained(error: ValidationError, prefix: str) -> list[str]:
    """What is wrong with a group of settings whose variables begin with a prefix, a line each."""
    lines = (_explain(problem, prefix) for problem in error.errors())
    return [printable(line, "\n", longest=_LONGEST) for line in lines]


def _explain(problem: ErrorDetails, prefix: str) -> str:
    """One line: the variable, its value unless it may hold a secret, what is allowed."""
    text = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return text
    name = str(problem["loc"][0])
    variable = name if name.startswith(prefix) else prefix + name.upper()
    secret = "PASSWORD" in variable or "TOKEN" in variable
    value = "" if secret else f"='{shown(_without_credentials(str(problem['input'])))}'"
    return f"{variable}{value}: {text}"


def _without_credentials(value: str) -> str:
    # Whatever stands before the last @: a password may hold any other character, even unencoded.
    _, at, host = value.rpartition("@")
    return f"***@{host}" if at else value
