"""Acknowledges activations to the controllers that wait for them (`MessagingActiveAck`)."""

from app.kafka.topics import LARGEST_ACKNOWLEDGEMENT, TopicNames
from models.activation import Activation
from models.messages import (
    CombinedCompletionAndResultMessage,
    CompletionMessage,
    Message,
    ResultMessage,
)
from models.wire import Version
from openwhisk.publisher import TooLarge
from openwhisk.store import Publishes, encoded

BATCH_OVERHEAD = 128
"""Bytes that Kafka adds to a record in a batch of its own, which count towards `max.message.bytes`.
"""


class Acknowledgements:
    """Sends acknowledgements to `completed<controller>`.

    Args:
        publisher: publishes the messages.
        topics: the deployment's topic names.
        version: the version of the messages.
        max_message_bytes: the `max.message.bytes` of the `completed` topics. A larger message is
            shrunk at once, and one that the broker refuses nevertheless is shrunk as well.
    """

    def __init__(
        self,
        publisher: Publishes,
        topics: TopicNames,
        *,
        version: Version = Version.CURRENT,
        max_message_bytes: int = LARGEST_ACKNOWLEDGEMENT,
    ) -> None:
        self._publisher = publisher
        self._topics = topics
        self._version = version
        self._largest = max_message_bytes - BATCH_OVERHEAD

    async def send(self, message: Message, controller: str, *, blocking: bool) -> bool:
        """Send an acknowledgement; returns once Kafka has acknowledged it.

        Only a blocking invocation waits for the result. For any other, or if the record is too
        large for the topic, just its id is sent.

        Args:
            message: the message with the whole record.
            controller: the controller's name in its topic.
            blocking: whether the controller waits for the result.

        Returns:
            Whether the whole record is on Kafka.

        Raises:
            NotAcknowledged: Kafka did not acknowledge it in time.
        """
        topic = self._topics.completed(controller)
        if blocking and await self._sent_whole(topic, message):
            return not isinstance(message, CompletionMessage)
        await self._publisher.publish(topic, encoded(shrunk(message), self._version))
        return False

    async def _sent_whole(self, topic: str, message: Message) -> bool:
        value = encoded(message, self._version)
        if len(value) > self._largest:
            return False
        try:
            await self._publisher.publish(topic, value)
        except TooLarge:
            return False
        return True


def shrunk(message: Message) -> Message:
    """The acknowledgement with just the id instead of the record."""
    match message:
        case ResultMessage():
            return ResultMessage(transid=message.transid, response=_id(message.response))
        case CombinedCompletionAndResultMessage():
            return CombinedCompletionAndResultMessage(
                transid=message.transid,
                response=_id(message.response),
                instance=message.instance,
                is_system_error=message.is_system_error,
            )
    return message


def _id(response: Activation | str) -> str:
    return response if isinstance(response, str) else response.activation_id
