"""`retention` on a database: old activations go, young ones and design documents stay."""

import json
import time

import aiohttp

from app.couchdb.database import connected
from app.settings import DatabaseSettings
from dev.worker import database_settings
from tests.integration.support.commands import Commands

DAY = 86_400_000


async def test_old_activations_are_removed(
    kafka_url: str, couchdb_url: str, prefix: str, database: str
) -> None:
    commands = Commands(kafka_url, couchdb_url, topic_prefix=prefix, database=database)
    now = int(time.time() * 1000)
    ages = [0, 5, 29, 31, 40, 400]
    documents = [
        {"_id": f"guest/{age:032x}", "activationId": f"{age:032x}", "start": now - age * DAY}
        for age in ages
    ]
    async with aiohttp.ClientSession() as http:
        async with http.put(f"{couchdb_url}/{database}") as answer:
            assert answer.status == 201
        missing = await commands.run("retention", "--older-than", "30d")
        assert missing.code == 2
        assert "design document" in missing.errors
        given = {**database_settings(couchdb_url), "database": database}
        settings = DatabaseSettings.model_validate(
            {f"PERSISTER_{name.upper()}": value for name, value in given.items()}
        )
        async with connected(settings) as sink:
            await sink.restore_design_documents()
        async with http.post(
            f"{couchdb_url}/{database}/_bulk_docs", json={"docs": documents}
        ) as answer:
            assert answer.status == 201

        dry = await commands.run("retention", "--older-than", "30d", "--dry-run")
        # How many there are, only a real CouchDB says: the stand-in has no offsets.
        assert (dry.code, "Nothing was removed" in dry.output) == (0, True)
        ran = await commands.run("retention", "--older-than", "30d", "--share", "1", "--json")
        assert (ran.code, json.loads(ran.output)["removed"]) == (0, 3), ran.errors
        again = await commands.run("retention", "--older-than", "30d")
        assert (again.code, again.output.split(":")[0]) == (0, "Nothing to remove")

        async with http.get(f"{couchdb_url}/{database}/_all_docs") as answer:
            left = [row["id"] for row in (await answer.json())["rows"]]
    assert [one for one in left if one.startswith("guest/")] == [
        f"guest/{age:032x}" for age in (0, 5, 29)
    ]
    assert "_design/activations" in left


async def test_what_kafka_may_still_hold_is_refused(kafka_url: str, couchdb_url: str) -> None:
    ran = await Commands(kafka_url, couchdb_url).run("retention", "--older-than", "7d")
    assert ran.code == 2
    assert "8d or more" in ran.errors
