"""Store levels and excluded namespaces (OpenWhisk's `ActivationStore.storeAfterCheck`).

OpenWhisk applies these rules before it writes to its store, but not to acknowledgements, so they
are applied here.
"""

from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Protocol

from msgspec import Raw

from app.routing.outcomes import Candidate, Skip
from models import json_text
from models.modes import StoreLevel
from models.reading import asks_for_extra_logging
from models.reasons import SkipReason
from models.roles import TopicRole


class Rules(Protocol):
    """The part of `RoutingSettings` that decides about a record."""

    @property
    def blocking_store_level(self) -> StoreLevel:
        """The store level for `completed<controller>` topics."""

    @property
    def non_blocking_store_level(self) -> StoreLevel:
        """The store level for all other topics."""

    @property
    def excluded_namespaces(self) -> AbstractSet[str]:
        """Namespaces whose activations are not stored."""


# Looked up once, because in Python 3.11 accessing a member of an enumeration is a call.
_COMPLETED = TopicRole.COMPLETED
_ALWAYS = StoreLevel.STORE_ALWAYS
_FAILURES = StoreLevel.STORE_FAILURES

_FAILURES_NOT_OF_APPLICATION = (2, 3)
_MOST_PARTS = 4
_EXCLUDED = Skip(SkipReason.EXCLUDED_NAMESPACE)
_STORE_LEVEL = Skip(SkipReason.STORE_LEVEL)


def left_out(role: TopicRole, candidate: Candidate, rules: Rules) -> Skip | None:
    """Why this record is not stored, or None if it is.

    Extra logging overrides the store levels, but not the exclusion of a namespace.
    """
    if candidate.namespace in rules.excluded_namespaces:
        return _EXCLUDED
    blocking = role is _COMPLETED
    level = rules.blocking_store_level if blocking else rules.non_blocking_store_level
    if level is _ALWAYS or _stored_at(level, candidate.status_code):
        return None
    return None if _extra_logging(candidate.transid) else _STORE_LEVEL


def _extra_logging(transid: Raw) -> bool:
    """Whether a transid is well-formed and asks for extra logging."""
    written = bytes(transid)
    if b"true" not in written or not written.startswith(b"["):
        return False
    places = islice(json_text.items(written), _MOST_PARTS + 1)
    return asks_for_extra_logging([json_text.shallow(written, *place) for place in places])


def _stored_at(level: StoreLevel, status_code: int) -> bool:
    if level is _FAILURES:
        return status_code != 0
    return status_code in _FAILURES_NOT_OF_APPLICATION
