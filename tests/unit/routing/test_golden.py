from typing import Any

import pytest

from app.kafka.topics import TopicNames
from app.routing import Skip, Store, route
from app.settings import LogMode, RoutingSettings
from models.reasons import SkipReason
from models.roles import TopicRole
from tests.golden import Case, Number, cases, exactly

UPDATED = 1_767_325_446_000
RULES = RoutingSettings()


def role_of(topic: str) -> TopicRole:
    prefix = topic[: topic.index("completed")] if "completed" in topic else ""
    mode = LogMode.IN_RECORD if topic.endswith("activations") else LogMode.SEPARATE
    role = TopicNames(prefix).role(topic, mode)
    assert role is not None
    return role


def expected_document(case: Case, record: dict[str, Any]) -> dict[str, Any]:
    document = case.document or record | {
        "_id": f"{record['namespace']}/{record['activationId']}",
        "entityType": "activation",
    }
    return document | {"updated": Number(str(UPDATED))}


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_golden_message_becomes_the_document_that_openwhisk_stored(case: Case) -> None:
    decision = route(role_of(case.topic), case.message, UPDATED, RULES)
    response = exactly(case.message).get("response")

    if isinstance(response, dict):
        assert isinstance(decision, Store)
        assert exactly(decision.document) == expected_document(case, response)
        assert decision.activation_id == response["activationId"]
    elif case.kind == "CompletionMessage":
        assert decision == Skip(SkipReason.ACKNOWLEDGEMENT)
    else:
        assert decision == Skip(SkipReason.NO_RECORD)


def test_there_are_documents_of_both_versions_to_compare_with() -> None:
    with_documents = [case.version for case in cases() if case.document is not None]

    assert len(with_documents) > 40
    assert len(set(with_documents)) == 2
