"""Answers requests that expect something (`Expect: 100-continue`) whatever their header holds.

aiohttp 3.14 repeats an unknown expectation in the text of its 417, and cannot encode bytes that are
not UTF-8: the result is a 500, and a traceback in the log. It also fails if the client is gone by
the time it is to be told to continue. Anybody who reaches the port can cause both.

Not reported.

- Symptom: `Error handling request`, with `UnicodeEncodeError` or `ClientConnectionResetError`.
- Reproduction: a byte 0xFF after `Expect:` in a request to any `aiohttp.web` server.
- Mend: no text from the client in the response; a `ConnectionError` ends the request.
"""

from aiohttp import web, web_urldispatcher
from aiohttp.http import HttpVersion11
from aiohttp.web import HTTPExpectationFailed

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def answer_expectations() -> None:
    """Have routes that are added from now on use `expect`."""
    web_urldispatcher._default_expect_handler = expect  # type: ignore[assignment]  # noqa: SLF001


async def expect(request: web.Request) -> web.Response | None:
    """Tell the client to go on; a response instead where that is not possible.

    Raises:
        HTTPExpectationFailed: it expects something that HTTP does not know.
    """
    if request.version != HttpVersion11:
        return None
    if request.headers.get("Expect", "").lower() != "100-continue":
        raise HTTPExpectationFailed(text="The only expectation that is met is 100-continue.\n")
    try:
        await request.writer.write(CONTINUE)
    except ConnectionError:
        return web.Response(status=408)  # nobody reads it
    # What follows is the answer.
    request.writer.output_size = 0
    return None
