import logging

from app.kafka.patches.repeated_logs import NOISY, calm_kafka_clients
from app.process.seldom import Seldom


def test_each_of_the_clients_loggers_gets_one_filter() -> None:
    calm_kafka_clients()
    calm_kafka_clients()
    for name in NOISY:
        filters = logging.getLogger(name).filters
        assert sum(isinstance(known, Seldom) for known in filters) == 1
