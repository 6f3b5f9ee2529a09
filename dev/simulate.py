"""`faust -A app simulate`: produce OpenWhisk's traffic and print its expected outcome.

For a load test, and to try the persister without an OpenWhisk. `app.commands.checkout` loads it.
"""

import asyncio
import json
import secrets
import sys
import time
from dataclasses import replace
from typing import Any, NoReturn

import click
from aiokafka.errors import KafkaError
from faust.cli import AppCommand, option
from tqdm import tqdm

from app.kafka.topics import NON_BLOCKING, OTHERS, TopicNames
from dev.traffic import (
    Mix,
    Setup,
    Simulation,
    Sizes,
    Summary,
    Traffic,
    ensure_topics,
    prefill,
)
from models.wire import Version
from openwhisk.publisher import Publisher, PublishError
from openwhisk.store import InvokerRecords, ensure_store_topic

_DEFAULT_COUNT = 1000
_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
_SHARE = click.FloatRange(0, 1)
_MIX, _SIZES = Mix(), Sizes()


def _share(name: str, default: float, text: str) -> Any:
    return option(name, type=_SHARE, default=default, show_default=True, help=text)


class simulate(AppCommand):  # noqa: N801 - Faust names the command after the class
    """Write activations to Kafka as OpenWhisk would.

    Broker, topic prefix, log mode, store levels and excluded namespaces are those of the settings
    (PERSISTER_KAFKA_URL, PERSISTER_TOPIC_PREFIX, PERSISTER_LOG_MODE ...). Missing OpenWhisk topics
    are created as OpenWhisk does.
    """

    options = [  # noqa: RUF012 - Faust's own way
        option("--count", type=click.IntRange(1), help="Events to send [default: 1000]."),
        option("--duration", type=_ABOVE_ZERO, help="Seconds after which to stop."),
        option("--rate", type=_ABOVE_ZERO, help="Events per --per [default: as fast as possible]."),
        option(
            "--per",
            type=_ABOVE_ZERO,
            default=1.0,
            show_default=True,
            help="Seconds that --rate is about.",
        ),
        option("--seed", type=int, help="The same seed writes the same records [default: random]."),
        option(
            "--topic",
            help="Write plain records to this one topic only (its name without the prefix).",
        ),
        option(
            "--size",
            type=click.IntRange(0),
            help=f"Median bytes of a result [default: {_SIZES.median}]; "
            "with --topic, bytes of each message [default: 1024].",
        ),
        option(
            "--openwhisk",
            type=click.Choice(["both", *(version.value for version in Version)]),
            default="both",
            show_default=True,
            help="Version of the messages.",
        ),
        option(
            "--controllers",
            type=click.IntRange(1, 100),
            default=2,
            show_default=True,
            help="Controllers, each with its completed topic.",
        ),
        option(
            "--namespaces",
            type=click.IntRange(1),
            default=8,
            show_default=True,
            help="Namespaces that own the activations.",
        ),
        option(
            "--invoker-records",
            type=click.Choice([records.value for records in InvokerRecords]),
            default=InvokerRecords.UNCARRIED.value,
            show_default=True,
            help="What the invokers' store writes while logs are kept elsewhere: what no "
            "acknowledgement carries, or all.",
        ),
        option(
            "--others",
            type=click.Choice([OTHERS, NON_BLOCKING]),
            default=OTHERS,
            show_default=True,
            help="The store's topic while logs are kept elsewhere.",
        ),
        _share("--blocking", _MIX.blocking, "Share of activations that somebody waits for."),
        _share("--failures", _MIX.failures, "Share of activations that fail."),
        _share("--duplicates", _MIX.duplicates, "Share of events that repeat an earlier one."),
        _share("--divergent", _MIX.divergent, "Share of second records under a known id."),
        _share("--junk", _MIX.junk, "Share of records that are no messages, or broken."),
        _share("--near-limit", _SIZES.near_limit, "Share of results just under 1 MiB."),
        _share("--oversized", _SIZES.oversized, "Share too large for their acknowledgement."),
    ]

    def __init__(self, ctx: click.Context, **options: Any) -> None:
        """Check options that depend on each other."""
        super().__init__(ctx, **options)
        if options["topic"] and options["duration"]:
            raise self.UsageError("--topic goes with --count, not with --duration")
        app: Any = self.app
        self._settings = app.settings
        self._count: int | None = options["count"]
        if self._count is None and options["duration"] is None:
            self._count = _DEFAULT_COUNT
        self._rate: float | None = options["rate"] and options["rate"] / options["per"]
        seed = options["seed"]
        self._seed: int = secrets.randbelow(2**32) if seed is None else seed
        try:
            self._traffic = traffic(self._settings, self._seed, options)
        except ValueError as error:
            raise self.UsageError(str(error)) from error

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Run outside Faust's worker: nothing is consumed."""
        complete = False
        try:
            complete = asyncio.run(self._run())
        except* (KafkaError, PublishError) as errors:
            for error in errors.exceptions:
                self.say(f"Kafka at {self._settings.kafka.url}: {error!r}", file=sys.stderr)
        sys.exit(0 if complete else 1)

    async def _run(self) -> bool:
        publisher = Publisher(self._settings.kafka)
        await publisher.start()
        try:
            if self.kwargs["topic"]:
                return await self._backlog(publisher)
            return await self._simulation(publisher)
        finally:
            await publisher.stop()

    async def _simulation(self, publisher: Publisher) -> bool:
        await ensure_topics(publisher, self._traffic.setup, self._settings.kafka)
        with self._progress("events") as bar:
            summary = await Simulation(
                self._traffic,
                publisher,
                rate=self._rate,
                count=self._count,
                duration=self.kwargs["duration"],
                on_progress=bar.update,
            ).run()
        self._tell(as_json(summary, self._seed))
        return not summary.failures

    async def _backlog(self, publisher: Publisher) -> bool:
        kafka = self._settings.kafka
        topic = kafka.topic_prefix + self.kwargs["topic"]
        await ensure_store_topic(publisher, topic, kafka)
        size = self.kwargs["size"]
        began = time.monotonic()
        with self._progress("messages") as bar:
            ids = await prefill(
                publisher,
                topic,
                self._count or _DEFAULT_COUNT,
                1024 if size is None else size,
                seed=self._seed,
                rate=self._rate,
                on_progress=bar.update,
            )
        seconds = round(time.monotonic() - began, 3)
        sent = {"messages": {topic: len(ids)}, "documents": len(set(ids))}
        self._tell({"seed": self._seed, "seconds": seconds, **sent})
        return True

    def _progress(self, unit: str) -> Any:
        hidden = True if self.quiet or self.json else None  # None: where there is no terminal
        return tqdm(total=self._count, unit=f" {unit}", disable=hidden)

    def _tell(self, summary: dict[str, Any]) -> None:
        if self.json:
            self.say(json.dumps(summary))
            return
        for name, value in summary.items():
            self.say(f"{name:>10}: {_line(value)}")


def traffic(settings: Any, seed: int, options: dict[str, Any]) -> Traffic:
    """Build the traffic from the options and the persister's settings; raises `ValueError`."""
    version = options["openwhisk"]
    setup = Setup(
        log_mode=settings.routing.log_mode,
        invoker_records=InvokerRecords(options["invoker_records"]),
        topics=TopicNames(settings.kafka.topic_prefix, options["others"]),
        controllers=tuple(map(str, range(options["controllers"]))),
        versions=tuple(Version) if version == "both" else (Version(version),),
        rules=settings.routing,
    )
    shares = ("blocking", "failures", "duplicates", "divergent", "junk")
    sizes = Sizes(near_limit=options["near_limit"], oversized=options["oversized"])
    if options["size"] is not None and not options["topic"]:
        sizes = replace(sizes, median=options["size"])
    return Traffic(
        setup,
        seed=seed,
        mix=Mix(**{share: options[share] for share in shares}),
        sizes=sizes,
        namespaces=options["namespaces"],
    )


def as_json(summary: Summary, seed: int) -> dict[str, Any]:
    """What was sent, and the outcomes expected once the persister has no lag."""
    return {
        "seed": seed,
        "seconds": round(summary.seconds, 3),
        "events": dict(summary.events),
        "messages": dict(sorted(summary.messages.items())),
        "bytes": dict(sorted(summary.bytes.items())),
        "failures": dict(summary.failures),
        "documents": len(summary.ledger),
        "doubtful": len(summary.ledger.doubtful),
        "outcomes": summary.ledger.outcomes.as_json(),
    }


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{name} {_part(part)}" for name, part in value.items()) or "none"


def _part(value: Any) -> str:
    return f"({_line(value)})" if isinstance(value, dict) else str(value)
