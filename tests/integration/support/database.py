"""The database's whole content, and how it must compare."""

from collections.abc import Iterable
from typing import Any

import aiohttp

from tests.integration.support.records import document_id
from tests.integration.support.waiting import until

EXACT_IN_DOUBLES = 2**53


async def stored(couchdb_url: str, database: str) -> dict[str, dict[str, Any]]:
    """All documents by `_id`, without the design documents.

    A worker that has just started may not have made the database yet.
    """
    url = f"{couchdb_url}/{database}/_all_docs"
    rows: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as http:

        async def read() -> bool:
            async with http.get(url, params={"include_docs": "true"}) as answer:
                if answer.status == 404:
                    return False
                assert answer.status == 200, f"{database}: {answer.status}"
                rows[:] = (await answer.json(content_type=None))["rows"]
                return True

        await until(read, f"there is a database {database}")
    return {row["id"]: row["doc"] for row in rows if not row["id"].startswith("_design/")}


async def all_stored(couchdb_url: str, database: str, records: Iterable[dict[str, Any]]) -> bool:
    """Whether there is a document of each record."""
    found = await stored(couchdb_url, database)
    return all(document_id(record) in found for record in records)


async def assert_holds(
    couchdb_url: str, database: str, expected: dict[str, dict[str, Any]]
) -> None:
    """Check that there are exactly these documents, each written exactly once."""
    found = await stored(couchdb_url, database)
    missing, unexpected = expected.keys() - found.keys(), found.keys() - expected.keys()
    assert not missing, f"{len(missing)} of {len(expected)} documents are missing: {some(missing)}"
    assert not unexpected, f"{len(unexpected)} documents too many: {some(unexpected)}"
    again = {key for key, kept in found.items() if not kept.pop("_rev").startswith("1-")}
    assert not again, f"{len(again)} documents were written more than once: {some(again)}"
    for key, kept in found.items():
        differing = differences(as_doubles(expected[key]), as_doubles(kept))
        assert not differing, f"{key} differs from what was sent: {differing}"


def differences(expected: dict[str, Any], kept: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (expected.get(name), kept.get(name))
        for name in expected.keys() | kept.keys()
        if expected.get(name) != kept.get(name)
    }


def some(ids: set[str]) -> list[str]:
    return sorted(ids)[:3]


def as_doubles(value: Any) -> Any:
    """The value with the integers that JavaScript cannot hold, as it holds them.

    The stand-in keeps numbers as doubles, unlike CouchDB.
    """
    match value:
        case dict():
            return {key: as_doubles(member) for key, member in value.items()}
        case list():
            return [as_doubles(member) for member in value]
        case bool():
            return ("bool", value)
        case int() if abs(value) > EXACT_IN_DOUBLES:
            return float(value)
        case _:
            return value
