"""Settings that cannot be: one clear message, and an exit code that a supervisor sees."""

import asyncio

from dev.admin import Admin
from tests.integration.support.deployment import StartWorker


async def test_wrong_settings_are_named_all_at_once_without_a_secret(worker: StartWorker) -> None:
    started = await worker(
        ready=False,
        kafka_url="kafka://somebody:hidden-1@127.0.0.1",
        couchdb_url="http://somebody:hidden-2@127.0.0.1:5984",
        couchdb_user="somebody",
        couchdb_password="",
        partitions=0,
        log_mode="both",
        guard_age="long",
    )
    code = await asyncio.to_thread(started.wait)
    log = started.log()
    assert code == 2
    for name in ("KAFKA_URL", "COUCHDB_URL", "PARTITIONS", "LOG_MODE", "GUARD_AGE"):
        assert f"PERSISTER_{name}=" in log
    assert "Traceback" not in log
    assert "hidden" not in log
    assert len(log.splitlines()) < 12


async def test_a_missing_password_file_is_named(worker: StartWorker) -> None:
    started = await worker(ready=False, couchdb_password_file="/nowhere/password")
    assert await asyncio.to_thread(started.wait) == 2
    assert "/nowhere/password" in started.log()
    assert "Traceback" not in started.log()


async def test_another_number_of_partitions_than_the_topic_has_is_an_error_that_says_what_to_set(
    worker: StartWorker, admin: Admin, prefix: str
) -> None:
    await admin.create_topic(f"{prefix}persister-documents", 3)
    started = await worker(ready=False, partitions=4)
    assert await asyncio.to_thread(started.wait) != 0
    assert "set PERSISTER_PARTITIONS=3" in started.log()
