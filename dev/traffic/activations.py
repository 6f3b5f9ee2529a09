"""Makes activation records as OpenWhisk does, each kind as the component that writes it."""

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

from dev.traffic.setup import Mix, Sizes
from dev.traffic.texts import Texts
from models.activation import Activation, ActivationResponse
from models.logs import LogLine

_NAMES = ("hello", "thumbnail", "process-order", "my action v1.0 & more", "a", "list_2")
_PACKAGES = ("utils", "billing")
_KINDS = ("nodejs:20", "python:3.11", "go:1.22", "java:8", "blackbox")
_VERSIONS = ("0.0.1", "0.0.42", "1.10.0")
_LIMITS = {"concurrency": 1, "logs": 10, "memory": 256, "timeout": 60_000}
_ERRORS = {
    1: "An error has occurred: order not found",
    2: "The action did not return a dictionary.",
    3: "The action could not be run.",
}
_CHATTY_LINES = 2000
_LARGE = 64 * 1024
_OVERSIZED_BY = 16 * 1024


class Activations:
    """Makes the records of one simulated deployment.

    Args:
        random: seeded.
        mix: shares of failures, packages and so on.
        sizes: of results.
        namespaces: how many.
        start: of the first activation, in epoch millis.
    """

    def __init__(
        self, random: Random, mix: Mix, sizes: Sizes, *, namespaces: int, start: int
    ) -> None:
        self.texts = Texts(random)
        self._random = random
        self._mix = mix
        self._sizes = sizes
        self._namespaces = [namespace(number) for number in range(namespaces)]
        self._now = start

    def action(self, *, caused: bool = False) -> tuple[Activation, bool]:
        """A record of an action without logs, and whether it exceeds an acknowledgement.

        Args:
            caused: whether it is a step of a sequence.
        """
        owner, name = self._owner(), self._choice(_NAMES)
        size, oversized = self._size()
        annotations = {
            **({"causedBy": "sequence"} if caused else {}),
            **self._path(owner, name),
            "waitTime": self._random.randrange(2000),
            "kind": self._choice(_KINDS),
            "timeout": False,
            "limits": _LIMITS,
        }
        if self._chance(0.1):
            annotations["initTime"] = self._random.randrange(20, 900)
        response = self._response(size)
        activation = self._activation(
            owner, name, response, annotations, cause=self.texts.activation_id() if caused else None
        )
        return activation, oversized

    def unrunnable(self) -> Activation:
        """The record that an invoker writes for an action it couldn't run."""
        owner, name = self._owner(), self._choice(_NAMES)
        response = ActivationResponse(status_code=3, result={"error": _ERRORS[3]})
        annotations = {**self._path(owner, name), "kind": "unknown", "limits": _LIMITS}
        return self._activation(owner, name, response, annotations, duration=0)

    def sequence(self) -> Activation:
        """A sequence; its logs are the ids of its steps."""
        topmost = self._chance(0.8)
        return self._composite("myseq", {"topmost": topmost, "kind": "sequence"}, topmost=topmost)

    def conductor(self) -> Activation:
        """A conductor (composition)."""
        annotations = {"topmost": True, "conductor": True, "kind": "sequence"}
        return self._composite("compo", annotations, topmost=True)

    def trigger(self) -> Activation:
        """A trigger; its logs are JSON objects about the rules it fired."""
        owner = self._owner()
        fired = [
            {
                "statusCode": 0,
                "success": True,
                "activationId": self.texts.activation_id(),
                "rule": f"{owner}/rule{number}",
                "action": f"{owner}/{self._choice(_NAMES)}",
            }
            for number in range(self._random.randrange(4))
        ]
        payload = self.texts.text(self._random.randrange(200), unicode=self._unicode())
        activation = self._activation(
            owner, "tick", ActivationResponse(status_code=0, result={"payload": payload}), {}
        )
        logs = [json.dumps(rule, separators=(",", ":")) for rule in fired]
        return activation.derive(end=0, duration=None, logs=logs)

    def log_lines(self, activation: Activation) -> list[str]:
        """Log lines of the action, beginning at its start time."""
        chatty = self._chance(self._mix.chatty)
        count = _CHATTY_LINES if chatty else self._random.randrange(4)
        return [self._log_line(activation.start, number) for number in range(count)]

    def differing(self, activation: Activation) -> Activation:
        """A different record with the same id."""
        result = {"other": self.texts.alphanumeric(12)}
        response = activation.response.derive(result=result)
        other: Activation = activation.derive(response=response)
        return other

    def _composite(self, name: str, annotations: dict[str, Any], *, topmost: bool) -> Activation:
        owner = self._owner()
        caused_by = {} if topmost else {"causedBy": "sequence"}
        activation = self._activation(
            owner,
            name,
            self._response(self._random.randrange(200)),
            {
                **annotations,
                "path": f"{owner}/{name}",
                **caused_by,
                "waitTime": self._random.randrange(100),
                "limits": _LIMITS,
            },
            cause=None if topmost else self.texts.activation_id(),
        )
        steps = [self.texts.activation_id() for _ in range(self._random.randrange(1, 5))]
        composite: Activation = activation.derive(logs=steps)
        return composite

    def _activation(
        self,
        owner: str,
        name: str,
        response: ActivationResponse,
        annotations: dict[str, Any],
        *,
        cause: str | None = None,
        duration: int | None = None,
    ) -> Activation:
        self._now += self._random.randrange(20)
        took = self._random.randrange(1, 5000) if duration is None else duration
        return Activation(
            namespace=owner,
            name=name,
            subject=f"{owner}-subject",
            activation_id=self.texts.activation_id(),
            start=self._now,
            end=self._now + took,
            response=response,
            logs=[],
            version=self._choice(_VERSIONS),
            publish=False,
            annotations=annotations,
            cause=cause,
            duration=took,
        )

    def _response(self, size: int) -> ActivationResponse:
        if self._chance(self._mix.failures):
            status = self._random.choice((1, 2, 3))
            error = f"{_ERRORS[status]} {self.texts.text(size)}"
            return ActivationResponse(status_code=status, result={"error": error}, size=size)
        text = self.texts.text(size, unicode=size < _LARGE and self._unicode())
        result: Any = [text, {"n": 1.5}, None] if self._chance(0.02) else {"body": text, "ok": True}
        return ActivationResponse(status_code=0, result=result, size=size)

    def _size(self) -> tuple[int, bool]:
        sizes, draw = self._sizes, self._random.random()
        if draw < sizes.oversized:
            more = _OVERSIZED_BY + self._random.randrange(sizes.limit // 4)
            return sizes.limit + more, True
        if draw < sizes.oversized + sizes.near_limit:
            return sizes.limit - self._random.randrange(1024), False
        size = sizes.median * self._random.lognormvariate(0, sizes.spread)
        return min(int(size), sizes.limit // 2), False

    def _path(self, owner: str, name: str) -> dict[str, Any]:
        if not self._chance(self._mix.packaged):
            return {"path": f"{owner}/{name}"}
        package = self._choice(_PACKAGES)
        if self._chance(0.5):
            return {"binding": f"{owner}/my{package}", "path": f"whisk.system/{package}/{name}"}
        return {"path": f"{owner}/{package}/{name}"}

    def _log_line(self, start: int, number: int) -> str:
        moment = datetime.fromtimestamp(start // 1000, UTC)
        nanos = start % 1000 * 1_000_000 + number * 1000 + self._random.randrange(1000)
        text = self.texts.text(self._random.randrange(10, 120), unicode=self._unicode())
        time = f"{moment:%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"
        return LogLine(time=time, stream=self._choice(("stdout", "stderr")), text=text).render()

    def _owner(self) -> str:
        return self._choice(self._namespaces)

    def _choice(self, options: Any) -> str:
        chosen: str = self._random.choice(options)
        return chosen

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _unicode(self) -> bool:
        return self._chance(self._mix.unicode)


_UNUSUAL = ("guest", "user@example.com", "a.b-c_d&e", "team 7")


def namespace(number: int) -> str:
    """The name of a simulated namespace; the first few cover the whole allowed alphabet."""
    return _UNUSUAL[number] if number < len(_UNUSUAL) else f"tenant-{number}"
