"""Rate-limits what aiokafka logs while a broker is away, and drops what Faust says too early.

aiokafka logs every attempt to connect, in several lines, and each client tries ten times a second
for as long as a broker is away: megabytes that say one thing.

Not reported of aiokafka 0.14; Kafka's own clients had it too (KAFKA-3792).

- Symptom: "Unable connect to node with id ...", "Got error produce response ..." and their like,
  some forty lines a second for each client.
- Reproduction: a producer with one batch to send; stop its broker.
- Mend: a pause that grows in `Sender._sender_routine` and `Fetcher._fetch_requests_routine`, as
  Kafka's own clients have (`reconnect.backoff.max.ms`).

Faust 0.15 logs "Creating topic ..." before it looks whether the topic exists, twice at every start;
that it created one it says afterwards. And of a record that Kafka does not take it logs all there
is, for each one, and not what to do: the guard's table says that in a line (`GuardTable`). Whoever
leads the group has a line of each topic that is gone, at each rebalance until the group knows it.
"""

import logging

from app.process.seldom import calm

NOISY = (
    "aiokafka",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
    "faust.assignor.partition_assignor",
)

CREATOR = "app.kafka.delivery.transport"
"""Logger of the producer that Faust creates the table's topic with."""

PRODUCER = "faust.transport.producer"
"""Its line about records that wait for a broker has their number in its text: "producer buffer full
size 10003", at each record that is sent meanwhile.
"""

PUBLISHER = "faust.topics"
"""Logger for what Faust sends, which is only the guard's table."""


class Without(logging.Filter):
    """Drops messages that contain certain words.

    Args:
        words: the words, as they are in the format string.
    """

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record."""
        return self.words not in str(record.msg)


class NumberApart(logging.Filter):
    """Takes the number at a message's end out of its text, by which messages are told apart."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record where it is one of those."""
        text, _, number = str(record.msg).rpartition(" ")
        if not record.args and number.isdecimal():
            record.msg, record.args = f"{text.replace('%', '%%')} %s", (number,)
        return True


def calm_kafka_clients() -> None:
    """Add filters to each logger, because a logger's filters do not apply to its children."""
    producer = logging.getLogger(PRODUCER)
    if not any(isinstance(known, NumberApart) for known in producer.filters):
        producer.addFilter(NumberApart())
    calm(*NOISY, PRODUCER)
    for name, words in ((CREATOR, "Creating topic %r"), (PUBLISHER, "_on_published error")):
        logger = logging.getLogger(name)
        if not any(isinstance(known, Without) for known in logger.filters):
            logger.addFilter(Without(words))
