"""The reproducible sequence of events of a simulated deployment."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from random import Random

from dev.traffic.activations import Activations
from dev.traffic.events import Activity, Again, Ended, Event, Junk, Ran, Unrunnable
from dev.traffic.junk import junk
from dev.traffic.ledger import Ledger
from dev.traffic.setup import Mix, Setup, Sizes
from models.transid import TransactionId
from models.wire import Version

START = 1_767_225_600_000
"""2026-01-01, in epoch millis: the same seed gives the same records on any day."""

_REMEMBERED = 1000
_INVOKERS = 3


class Traffic:
    """An endless sequence of events; each iteration yields the same ones.

    Args:
        setup: the deployment.
        seed: of everything random.
        mix: what happens how often.
        sizes: of results.
        namespaces: how many.
        start: of the first activation, in epoch millis.
    """

    def __init__(
        self,
        setup: Setup | None = None,
        *,
        seed: int = 0,
        mix: Mix | None = None,
        sizes: Sizes | None = None,
        namespaces: int = 8,
        start: int = START,
    ) -> None:
        if namespaces < 1:
            raise ValueError("namespaces must be 1 or more")
        self.setup = setup or Setup()
        self._seed = seed
        self._mix = mix or Mix()
        self._sizes = sizes or Sizes()
        self._namespaces = namespaces
        self._start = start

    def __iter__(self) -> Iterator[Event]:
        random = Random(self._seed)  # noqa: S311 - nothing here is secret
        activations = Activations(
            random, self._mix, self._sizes, namespaces=self._namespaces, start=self._start
        )
        return iter(_Events(self.setup, random, self._mix, activations))

    def ledger(self, count: int) -> Ledger:
        """The expected result of the first `count` events."""
        ledger = Ledger(self.setup)
        for event in islice(self, count):
            ledger.add(event)
        return ledger


class _Events:
    """One iteration."""

    def __init__(self, setup: Setup, random: Random, mix: Mix, activations: Activations) -> None:
        self._setup = setup
        self._random = random
        self._mix = mix
        self._activations = activations
        self._kinds, self._weights = zip(*mix.kinds.items(), strict=True)

    def __iter__(self) -> Iterator[Event]:
        mix = self._mix
        recent: deque[Activity] = deque(maxlen=_REMEMBERED)
        while True:
            draw = self._random.random()
            if draw < mix.junk:
                yield self._junk()
            elif draw < mix.junk + mix.duplicates + mix.divergent and recent:
                earlier = self._random.choice(recent)
                yield self._again(earlier, divergent=draw >= mix.junk + mix.duplicates)
            else:
                activity = self._activity()
                recent.append(activity)
                yield activity

    def _activity(self) -> Activity:
        (kind,) = self._random.choices(self._kinds, self._weights)
        version = self._random.choice(self._setup.versions)
        blocking = self._random.random() < self._mix.blocking
        match kind:
            case "action":
                return self._ran(version, blocking=blocking)
            case "unrunnable":
                activation = self._activations.unrunnable()
                return Unrunnable(
                    version=version,
                    transid=self._transid(activation.start),
                    activation=activation,
                    blocking=blocking,
                    controller=self._random.choice(self._setup.controllers),
                    invoker=self._random.randrange(_INVOKERS),
                )
            case "sequence":
                activation = self._activations.sequence()
            case "conductor":
                activation = self._activations.conductor()
            case _:
                activation, blocking = self._activations.trigger(), False
        return Ended(
            version=version,
            transid=self._transid(activation.start),
            activation=activation,
            blocking=blocking,
        )

    def _ran(self, version: Version, *, blocking: bool) -> Ran:
        caused = self._random.random() < self._mix.sequence
        activation, oversized = self._activations.action(caused=caused)
        return Ran(
            version=version,
            transid=self._transid(activation.start),
            activation=activation,
            logs=self._activations.log_lines(activation),
            blocking=blocking,
            controller=self._random.choice(self._setup.controllers),
            invoker=self._random.randrange(_INVOKERS),
            oversized=oversized,
        )

    def _transid(self, start: int) -> TransactionId:
        began = start - self._random.randrange(1, 200)
        parent = (
            TransactionId(id=self._activations.texts.alphanumeric(32), start=began - 1)
            if self._random.random() < self._mix.parents
            else None
        )
        return TransactionId(
            id=self._activations.texts.alphanumeric(32),
            start=began,
            extra_logging=self._random.random() < self._mix.extra_logging,
            parent=parent,
        )

    def _junk(self) -> Junk:
        topic = self._random.choice(self._setup.read_topics)
        activation = self._activations.sequence()
        return junk(self._random, topic, self._transid(activation.start), activation)

    def _again(self, earlier: Activity, *, divergent: bool) -> Again:
        # Only on the topics of the first record is it sure to be read after that one.
        if divergent and not (isinstance(earlier, Ran) and earlier.oversized):
            other = self._activations.differing(earlier.activation)
            return Again(replace(earlier, activation=other), divergent=True)
        return Again(earlier, divergent=False)
