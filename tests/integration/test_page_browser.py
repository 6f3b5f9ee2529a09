"""The status page in a real browser: seen, heard and used as people do.

Skipped where there is no Chromium: what these tests check of the page's content is checked without
one as well.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dev.admin import Admin
from dev.browser import Browser, NoBrowserError, Tab, axe_core, open_browser, shipped_uplot
from dev.worker import Worker
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained

TOKEN = "0123456789-abcdef"
STATIC = Path("app/monitoring/page/static")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    try:
        async with open_browser() as opened:
            yield opened
    except NoBrowserError as error:
        pytest.skip(str(error))


async def barriers(tab: Tab) -> list[str]:
    """What axe-core finds that keeps people out of the page."""
    await tab.evaluate(f"{axe_core()};0")
    found: str = await tab.evaluate(
        "axe.run(document).then((result) => JSON.stringify(result.violations.map("
        "(one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`)))"
    )
    barriers: list[str] = json.loads(found)
    return barriers


async def sign_in(tab: Tab, worker: Worker) -> None:
    """As somebody without a mouse does it."""
    await tab.go(f"{worker.url}/")
    await tab.until("location.pathname === '/sign-in'")
    assert await barriers(tab) == []
    await tab.until("document.activeElement.id === 'token'")
    await tab.type(TOKEN)
    await tab.press("Enter", "\r")
    await tab.until("document.querySelectorAll('#charts canvas').length === 4")


async def test_the_page_is_for_everybody(
    browser: Browser, worker: StartWorker, admin: Admin, kafka_url: str, prefix: str
) -> None:
    topic = f"{prefix}completed0"
    await admin.create_topic(topic)
    first, second = await asyncio.gather(
        *(worker(partitions=4, session_timeout=3, web_token=TOKEN) for _ in range(2))
    )
    tab = await browser.tab()
    await sign_in(tab, first)

    # It follows what happens, without being loaded again.
    records = Records(18).many(20)
    records[0]["logs"] = ["2027-01-15T12:00:00.000Z stdout: <b>hello</b>"]
    async with producer(kafka_url) as kafka:
        await kafka.records(topic, records)
        await kafka.send(topic, b'<script>document.title = "taken"</script>')
    await drained(admin, prefix, topic)
    await tab.until("document.body.innerText.includes('have read 21 records, stored 20,')")
    await tab.until("document.body.innerText.includes('not-json')")

    for screen in ({}, {"dark": True}, {"width": 360, "height": 740, "phone": True}):
        await tab.look(**screen)
        assert await barriers(tab) == [], screen
        assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), screen
    await tab.look()

    # The whole way by keyboard: to the field, and to the activation.
    await tab.evaluate("document.body.focus(), document.activeElement.blur()")
    await tab.press("Tab")
    assert await tab.evaluate("document.activeElement.className") == "skip"
    await tab.evaluate("document.getElementById('activation').focus()")
    await tab.type(records[0]["activationId"])
    await tab.press("Enter", "\r")
    await tab.until("document.querySelector('#fate-title')?.textContent === 'Stored'")
    assert await barriers(tab) == []
    assert records[0]["logs"][0] in await tab.evaluate("document.body.textContent")

    # The other worker takes the same cookie, and says whom it misses.
    await tab.go(f"{second.url}/")
    await tab.until("document.querySelectorAll('#charts canvas').length === 4")
    first.kill()
    await tab.until("document.querySelector('.verdict').innerText.includes('has not been heard')")
    assert await barriers(tab) == []
    assert tab.complaints == []
    second.kill()
    await tab.until("document.getElementById('stale').textContent.includes('does not answer')")


def test_the_charts_are_drawn_by_uplot_as_its_authors_ship_it() -> None:
    theirs = shipped_uplot()
    for name in ("uPlot.iife.min.js", "uPlot.min.css"):
        assert (STATIC / name).read_bytes() == (theirs / "dist" / name).read_bytes()
    licence = (theirs / "LICENSE").read_bytes()
    assert (STATIC / "uPlot.LICENSE.txt").read_bytes() == licence
