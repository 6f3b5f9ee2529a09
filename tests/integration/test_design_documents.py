"""The views give what OpenWhisk's own classes say of the same records."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from app.couchdb import Database
from app.couchdb.design_documents import design_documents
from app.settings import DatabaseSettings
from app.storing.sink import Document

GOLDEN = Path(__file__).parent.parent / "golden"
BOUND = "non-blocking action of a bound package"


def golden() -> list[dict[str, Any]]:
    """The stored records: `docid`, `document`, `updated` and `summary`."""
    lines = (
        json.loads(line)
        for file in sorted(GOLDEN.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    )
    return [line for line in lines if "document" in line]


RECORDS = {record["docid"]: record for record in golden()}


def expected_summary(record: dict[str, Any]) -> dict[str, Any]:
    """The golden summary, with the duration as OpenWhisk's views give it.

    Its classes summarise a sequence or a conductor with the `duration` inside the record (the time
    of the steps), its views always with `end` - `start`, and readers of a view know the latter.
    """
    summary = dict(record["summary"])
    if "duration" in summary:
        summary["duration"] = record["document"]["end"] - record["document"]["start"]
    return summary


@pytest.fixture
async def prepared(couchdb_url: str, database: str) -> AsyncIterator[Database]:
    url = URL(couchdb_url)
    settings = DatabaseSettings(
        url=str(url.with_user(None)).rstrip("/"),
        user=url.user,
        password=url.password,
        name=database,
    )
    connected = Database(settings)
    await connected.connect()
    await connected.prepare()
    yield connected
    await connected.close()


@pytest.fixture
async def view(couchdb_url: str, prepared: Database) -> AsyncIterator[Any]:
    """Ask a view of a database that holds every golden record."""
    documents = [
        Document(id_, json.dumps({**record["document"], "updated": record["updated"]}).encode())
        for id_, record in RECORDS.items()
    ]
    answer = await prepared.bulk(documents)
    assert all(entry.rev for entry in answer.entries)

    async with aiohttp.ClientSession() as http:

        async def view(path: str, **parameters: str) -> list[dict[str, Any]]:
            design, name = path.split("/")
            address = f"{couchdb_url}/{prepared.name}/_design/{design}/_view/{name}"
            async with http.get(address, params=parameters) as response:
                assert response.status == 200, await response.text()
                rows: list[dict[str, Any]] = (await response.json())["rows"]
                return rows

        yield view


@pytest.mark.parametrize(
    "path",
    [
        "whisks.v2.1.0/activations",
        "whisks-filters.v2.1.1/activations",
    ],
)
async def test_listings_summarise_every_record(view: Any, path: str) -> None:
    rows = {row["id"]: row for row in await view(path, reduce="false")}
    assert {id_: row["value"] for id_, row in rows.items()} == {
        id_: expected_summary(record) for id_, record in RECORDS.items()
    }
    for id_, row in rows.items():
        document = RECORDS[id_]["document"]
        assert row["key"][0].startswith(document["namespace"])
        assert row["key"][1] == document["start"]


async def test_a_listing_is_keyed_by_namespace(view: Any) -> None:
    for row in await view("whisks.v2.1.0/activations", reduce="false"):
        assert row["key"][0] == RECORDS[row["id"]]["document"]["namespace"]


@pytest.mark.parametrize("version,package", [("v2.1.1", "myutils")])
async def test_an_action_of_a_bound_package_is_listed_under_the_binding(
    view: Any, version: str, package: str
) -> None:
    rows = await view(f"whisks-filters.{version}/activations", reduce="false")
    [key] = [row["key"] for row in rows if RECORDS[row["id"]]["case"] == BOUND]
    assert key[0] == f"guest/{package}/echo"


async def test_listings_are_counted(view: Any) -> None:
    [row] = await view("whisks.v2.1.0/activations")
    assert row["value"] == len(RECORDS)


async def test_every_record_is_found_by_its_date(view: Any) -> None:
    rows = await view("activations/byDate")
    assert {row["id"]: row["key"] for row in rows} == {
        id_: record["document"]["start"] for id_, record in RECORDS.items()
    }
    for row in rows:
        assert row["value"][0] == row["id"]
        assert row["value"][1].startswith("1-")


async def test_logs_are_cleaned_up_except_those_of_sequences(view: Any) -> None:
    rows = await view("logCleanup/byDateWithLogs")
    assert {row["id"] for row in rows} == {
        id_
        for id_, record in RECORDS.items()
        if record["document"]["logs"]
        and {"key": "kind", "value": "sequence"} not in record["document"]["annotations"]
    }


async def test_design_documents_are_put_there_once(couchdb_url: str, prepared: Database) -> None:
    await prepared.prepare()
    async with aiohttp.ClientSession() as http:
        for name in design_documents():
            address = f"{couchdb_url}/{prepared.name}/_design/{name}"
            async with http.get(address) as response:
                assert response.status == 200
                assert (await response.json())["_rev"].startswith("1-")
