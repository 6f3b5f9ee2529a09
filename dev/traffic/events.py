"""Events of a simulated deployment, one class each."""

from dataclasses import dataclass

from models.activation import Activation
from models.reasons import RejectReason, SkipReason
from models.transid import TransactionId
from models.wire import Version


@dataclass(frozen=True, slots=True)
class Ran:
    """An action ran in an invoker's container.

    Attributes:
        version: of the OpenWhisk that it ran in.
        transid: of the request.
        activation: its record, without logs.
        logs: its log lines.
        blocking: whether the controller waits for the result.
        controller: which one.
        invoker: the number of the invoker.
        oversized: whether the record is too large for an acknowledgement.
    """

    version: Version
    transid: TransactionId
    activation: Activation
    logs: list[str]
    blocking: bool
    controller: str
    invoker: int
    oversized: bool


@dataclass(frozen=True, slots=True)
class Unrunnable:
    """An invoker answered for an action it couldn't run; attributes as in `Ran`."""

    version: Version
    transid: TransactionId
    activation: Activation
    blocking: bool
    controller: str
    invoker: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A controller stores a sequence, a composition or a trigger; attributes as in `Ran`."""

    version: Version
    transid: TransactionId
    activation: Activation
    blocking: bool


Activity = Ran | Unrunnable | Ended


@dataclass(frozen=True, slots=True)
class Again:
    """An earlier event is sent again.

    Attributes:
        activity: what is sent.
        divergent: whether its record differs from the first one, under the same id.
    """

    activity: Activity
    divergent: bool


@dataclass(frozen=True, slots=True)
class Junk:
    """Something that is not a message.

    Attributes:
        topic: the full name.
        value: of the record.
        reason: what the persister says of it.
    """

    topic: str
    value: bytes
    reason: SkipReason | RejectReason


Event = Activity | Again | Junk
