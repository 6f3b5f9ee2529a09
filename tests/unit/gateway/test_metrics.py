"""What the gateway shows of itself: health, and metrics of which each value is there at zero."""

import asyncio
import re
import time

import pytest
from aiohttp import web

from openwhisk.gateway import server
from openwhisk.gateway.metrics import STATUSES, Kind, Unanswered
from tests.unit.gateway.doubles import FakeDatabase, Running


async def test_every_known_value_is_there_at_zero(gateway: Running) -> None:
    async with gateway.client.get(f"{gateway.url}/_gateway/metrics") as answer:
        shown = await answer.text()
    for kind in Kind:
        for status in STATUSES:
            assert f'gateway_requests_total{{kind="{kind}",status="{status}"}} 0.0' in shown
    for cause in Unanswered:
        assert f'gateway_refused_writes_total{{cause="{cause}"}} 0.0' in shown
    assert 'gateway_connections{state="open"} 1.0' in shown
    assert re.search(r'gateway_build_info\{python="[^"]+",version="[^"]+"\} 1.0', shown)
    assert "process_resident_memory_bytes" in shown
    assert "_created" not in shown


async def test_lines_that_the_log_had_no_room_for_are_counted(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openwhisk.gateway.metrics.lines_left_out", lambda: 3)
    async with gateway.client.get(f"{gateway.url}/_gateway/metrics") as answer:
        assert "gateway_log_lines_left_out_total 3.0" in await answer.text()


async def test_many_who_ask_for_metrics_do_not_have_them_made_each_time(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[float]()

    def make(_: object) -> bytes:
        time.sleep(0.01)
        made.append(time.monotonic())
        return b"made"

    async def ask() -> bytes:
        async with gateway.client.get(f"{gateway.url}/_gateway/metrics") as answer:
            return await answer.read()

    monkeypatch.setattr(server, "generate_latest", make)
    assert set(await asyncio.gather(*(ask() for _ in range(50)))) == {b"made"}
    assert len(made) < 25


async def test_many_who_ask_for_health_cost_one_question(
    gateway: Running, database: FakeDatabase
) -> None:
    gate = asyncio.Event()

    async def held(_: web.Request) -> web.Response:
        await gate.wait()
        return web.json_response({})

    async def ask() -> int:
        async with gateway.client.get(f"{gateway.url}/_gateway/health") as answer:
            return answer.status

    database.answer = held
    asking = [asyncio.ensure_future(ask()) for _ in range(50)]
    await database.asked.wait()
    asking.append(asyncio.ensure_future(ask()))
    gate.set()
    assert set(await asyncio.gather(*asking)) == {200}
    assert len(database.seen) < 5
