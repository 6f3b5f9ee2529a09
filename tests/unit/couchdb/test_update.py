import json

from app.couchdb.faults import known_fault
from app.couchdb.update import plain_of, update_of
from app.storing.sink import Document

DOCUMENT = Document("a", b'{"_id":"a","logs":["x"]}')
STORED = b'{"_id":"a","_rev":"3-abc","logs":[]}'


def test_an_update_names_the_revision_that_it_replaces() -> None:
    update = update_of(DOCUMENT, STORED)
    assert json.loads(update.body) == {"_rev": "3-abc", "_id": "a", "logs": ["x"]}
    again = update_of(update, STORED.replace(b"3-abc", b"4-def"))
    assert json.loads(again.body) == {"_rev": "4-def", "_id": "a", "logs": ["x"]}
    assert again.body.count(b"_rev") == 1


def test_an_update_is_no_fault_of_the_record() -> None:
    update = update_of(DOCUMENT, STORED)
    assert plain_of(update) == DOCUMENT
    assert known_fault(update) is None
    own = Document("a", b'{"_id":"a","_rev":"3-abc"}')
    assert known_fault(update_of(own, STORED)) is not None
