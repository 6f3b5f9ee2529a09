"""Replays dead letters by sending them back to the topics they came from.

The workers then treat a record as if it had just arrived; if it is set aside again, the new dead
letter counts one more attempt. Its timestamp is the time of the replay: Kafka's retention would
delete a record with an old one at once.
"""

from collections import Counter
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

from app.dead_letters.planning import Planned, Planner, Stay
from app.dead_letters.progress import Progress, open_log, read_progress
from app.dead_letters.readiness import Check, no_check, open_check
from app.dead_letters.reading import Letters, open_letters
from app.dead_letters.selection import Selection
from app.dead_letters.sending import SETTLE_SECONDS, Sender
from app.kafka.admin import open_admin
from app.kafka.producer import open_producer
from app.kafka.reader import open_reader
from app.kafka.topics import TopicNames
from app.settings import Settings


@dataclass
class Report:
    """The outcome of a replay."""

    planned: int = 0
    replayed: int = 0
    stayed: Counter[Stay] = field(default_factory=Counter)
    unreadable: int = 0
    """How many records in the topic are not dead letters."""


class Watcher:
    """Follows a replay; this one ignores everything."""

    def begin(self, total: int) -> None:
        """The scan starts; it covers `total` offsets."""

    def forward(self, count: int, report: Report) -> None:
        """The scan has advanced by `count` offsets."""

    def planned(self, planned: Planned) -> None:
        """A letter is about to be sent, or would be in a dry run."""

    def say(self, text: str) -> None:
        """Show a message to the operator."""


@dataclass(frozen=True)
class Replay:
    """A replay that an operator asked for.

    Args:
        selection: which letters to replay.
        max_attempts: a letter that was replayed this often stays where it is.
        limit: the most letters to send; None for all.
        dry_run: neither send nor note anything.
        force: send even if the database takes no documents.
        settle_seconds: see `Sender.settle`.
    """

    selection: Selection
    max_attempts: int = 3
    limit: int | None = None
    dry_run: bool = False
    force: bool = False
    settle_seconds: float = SETTLE_SECONDS

    async def run(self, settings: Settings, watcher: Watcher) -> Report:
        """Send the letters; returns once all are acknowledged and noted.

        Raises:
            LettersError, ReadError: the replay cannot continue; running it again resumes it.
            KafkaError: Kafka cannot be reached, or refuses.
        """
        kafka, names = settings.kafka, TopicNames(settings.kafka.topic_prefix)
        async with AsyncExitStack() as stack:
            admin = await stack.enter_async_context(open_admin(kafka))
            partitions = await admin.partition_counts()
            letters = await stack.enter_async_context(
                open_letters(kafka, names.dead_letters, partitions.get(names.dead_letters, 0))
            )
            asked = await letters.since(self.selection.since)
            sender = None
            if not self.dry_run:
                log = await stack.enter_async_context(open_log(kafka, admin, names.replays))
                producer = await stack.enter_async_context(open_producer(kafka))
                reader = await stack.enter_async_context(open_reader(kafka))
                check: Check = no_check
                if not self.force:
                    check = await stack.enter_async_context(
                        open_check(settings.database, watcher.say)
                    )
                sender = Sender(producer, reader, log, check, admin=admin, settings=kafka)
            progress = Progress()
            if sender or names.replays in partitions:
                progress = await read_progress(kafka, names.replays)
            if sender:
                await sender.settle(progress, partitions, watcher.say, self.settle_seconds)
            planner = Planner(
                settings,
                self.selection,
                progress,
                max_attempts=self.max_attempts,
                partitions=partitions,
                largest=admin.largest_batch,
            )
            return await self._pass(asked, planner, sender, watcher)

    async def _pass(
        self, letters: Letters, planner: Planner, sender: Sender | None, watcher: Watcher
    ) -> Report:
        report = Report()
        watcher.begin(len(letters))
        async with aclosing(letters.read()) as reading:
            async for forward, letter in reading:
                if report.planned == self.limit:
                    break
                if letter and self.selection.takes(letter):
                    found = await planner.plan(letter)
                    if isinstance(found, Stay):
                        report.stayed[found] += 1
                    else:
                        report.planned += 1
                        watcher.planned(found)
                        report.replayed += await sender.add(found) if sender else 0
                watcher.forward(forward, report)
        report.replayed += await sender.flush() if sender else 0
        report.unreadable = letters.unreadable
        return report
