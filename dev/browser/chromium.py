"""Headless Chromium, driven over the DevTools protocol."""

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 30.0
"""For an answer, a page to load, or something to become true."""

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # as root, as in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class NoBrowserError(Exception):
    """There is no Chromium here; the message says what to do."""


class Tab:
    """A page in the browser.

    Attributes:
        complaints: what the console said, errors of scripts and of the security policy included.
    """

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser = browser
        self._session = session
        self.complaints: list[str] = []

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol."""
        return await self._browser.send(method, self._session, **params)

    async def look(
        self, *, width: int = 1280, height: int = 900, dark: bool = False, phone: bool = False
    ) -> None:
        """Have the page seen by this screen, in daylight or at night."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def go(self, url: str) -> None:
        """Open a page; returns once it is loaded."""
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        answer = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression[:200]}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, expression: str, within: float = SECONDS) -> None:
        """Return once a JavaScript expression is true."""
        async with asyncio.timeout(within):
            while True:
                # Between two pages there is nothing to ask.
                with contextlib.suppress(AssertionError, RuntimeError):
                    if await self.evaluate(f"Boolean({expression})"):
                        return
                await asyncio.sleep(0.1)

    async def press(self, key: str, text: str = "") -> None:
        """Press a key, such as `Tab`; what it writes is `text`, of Enter a carriage return."""
        for kind in ("keyDown", "keyUp"):
            await self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, text=text if kind == "keyDown" else ""
            )

    async def type(self, text: str) -> None:
        """Type a text where the focus is."""
        await self.send("Input.insertText", text=text)

    async def picture(self, *, whole: bool = True) -> bytes:
        """What the page looks like as a PNG: all of it, or what fits on the screen."""
        clip = {}
        if whole:
            size = (await self.send("Page.getLayoutMetrics"))["cssContentSize"]
            area = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            clip = {"clip": area}
        answer = await self.send(
            "Page.captureScreenshot", format="png", captureBeyondViewport=whole, **clip
        )
        return base64.b64decode(answer["data"])

    async def part(self, first: str, last: str) -> bytes:
        """The page from the top of one element to the end of another, as a PNG."""
        edges = await self.evaluate(
            f"[document.querySelector({first!r}).getBoundingClientRect().top + scrollY,"
            f" document.querySelector({last!r}).getBoundingClientRect().bottom + scrollY]"
        )
        width = await self.evaluate("innerWidth")
        clip = {"x": 0, "y": edges[0] - 8, "width": width, "height": edges[1] - edges[0] + 16}
        answer = await self.send(
            "Page.captureScreenshot",
            format="png",
            captureBeyondViewport=True,
            clip={**clip, "scale": 1},
        )
        return base64.b64decode(answer["data"])

    def note(self, method: str, params: dict[str, Any]) -> None:
        """Take what the browser tells without being asked."""
        if method == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(
                str(details.get("exception", details).get("description", details))
            )
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("warning", "error"):
            self.complaints.append(str(params["args"]))


class Browser:
    """A running Chromium; `open_browser` starts one."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}
        self._reading = asyncio.create_task(self._read())

    async def tab(self) -> Tab:
        """Open a tab of its own, without the cookies of others."""
        context = await self.send("Target.createBrowserContext")
        target = await self.send(
            "Target.createTarget", url="about:blank", browserContextId=context["browserContextId"]
        )
        session = (
            await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        )["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await tab.send(f"{domain}.enable")
        await tab.look()
        return tab

    async def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        return await asyncio.wait_for(answer, SECONDS)

    async def close(self) -> None:
        """End the connection."""
        self._reading.cancel()
        await self._socket.close()

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                answer = self._answers.pop(told["id"])
                if "error" in told:
                    answer.set_exception(RuntimeError(str(told["error"])))
                else:
                    answer.set_result(told["result"])
            elif told.get("sessionId") in self._tabs:
                self._tabs[told["sessionId"]].note(told["method"], told["params"])


def find() -> str:
    """The path of a Chromium.

    Raises:
        NoBrowserError: there is none.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise NoBrowserError("there is no Chromium on this machine (Debian: apt-get install chromium)")


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Run a browser for as long as the block runs.

    Raises:
        NoBrowserError: there is none, or it does not start.
    """
    program = find()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            *(program, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            url = await _address(Path(folder), process)
            # A picture of a whole page is one message.
            async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as ws:
                browser = Browser(ws)
                try:
                    yield browser
                finally:
                    await browser.close()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _address(folder: Path, process: asyncio.subprocess.Process) -> str:
    file = folder / "DevToolsActivePort"
    async with asyncio.timeout(SECONDS):
        while process.returncode is None:
            if file.exists() and len(lines := file.read_text().splitlines()) > 1:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            await asyncio.sleep(0.1)
    raise NoBrowserError(f"{process.returncode=}: the browser ended at once")
