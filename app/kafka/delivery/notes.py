"""What the metadata of a commit say of the log that was read.

A committed offset is a number, and means nothing in another log. Whoever reads on from it may be
another worker than the one that committed it, or the same after a restart. So what tells logs apart
is committed with it:

- the leader's epoch of the last record that was read (see `epochs`);
- the id of the topic. Kafka deletes a topic's committed offsets with the topic, but a commit that
  comes after the topic was re-created is taken for the new one: up to version 9 of OffsetCommit it
  says only the name. And a coordinator that was not there when the topic was deleted, or was still
  loading the group, keeps its offsets (Kafka 4.1, `GroupCoordinatorService.onPartitionsDeleted`).
"""

import base64
import re
from dataclasses import dataclass
from typing import Self

_NOTE = re.compile(r"[a-z_]+=\S*(?: [a-z_]+=\S*)*")
_EPOCH = re.compile(r"[0-9]{1,10}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{22}")
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Note:
    """What is known of a log.

    Args:
        epoch: of the leader that wrote the last record before the offset.
        topic: the id of its topic, 16 bytes.
    """

    epoch: int | None = None
    topic: bytes | None = None

    def __str__(self) -> str:
        """As it is committed; the id as Kafka's own commands show it."""
        parts = []
        if self.epoch is not None:
            parts.append(f"epoch={self.epoch}")
        if self.topic is not None:
            parts.append(f"topic={base64.urlsafe_b64encode(self.topic).decode().rstrip('=')}")
        return " ".join(parts)

    @classmethod
    def read(cls, metadata: str | None) -> Self:
        """What a commit's metadata tell: nothing, if they were written by anybody else.

        A later version may have noted more, which is left out: the next commit is made by this one,
        and would otherwise lose the rest, too.
        """
        form = _NOTE.fullmatch(metadata or "")
        told = dict(one.split("=", 1) for one in form[0].split(" ")) if form else {}
        epoch, topic = told.get("epoch", ""), told.get("topic", "")
        return cls(
            int(epoch) if _EPOCH.fullmatch(epoch) and int(epoch) <= _LARGEST else None,
            base64.urlsafe_b64decode(f"{topic}==") if _TOPIC.fullmatch(topic) else None,
        )
