"""What a browser asks for: the page, its parts and charts, an activation, and signing in."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from aiohttp import web

from app.monitoring.monitored import Monitored, not_ready
from app.monitoring.page.rendering import STATIC, render, static_files
from app.monitoring.page.view import view_of
from app.monitoring.sign_in import (
    COOKIE,
    LASTS,
    SignIn,
    TooManyAttemptsError,
    after_sign_in,
    cookie_in,
)
from app.monitoring.trace import Account
from app.monitoring.trace.account import Fate
from app.monitoring.trace.activation import ActivationId, parse
from app.monitoring.trace.desk import TraceBusyError

HTML_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # With `no-referrer` a browser would not say where a sign-in comes from, either.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"

LONGEST_FORM = 8 * 1024
"""Most bytes of a sign-in form: the token, and where to go afterwards."""

_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 10

LOG_LINES = 1000
"""Most log lines of an activation to show on its page."""

Trace = Callable[[ActivationId], Awaitable[Account]]


class Pages:
    """The pages of a worker.

    Args:
        worker: the worker to show.
        sign_in: signs browsers in; None for a worker without a token.
        trace: searches for an activation; raises `TraceBusyError`.
    """

    def __init__(self, worker: Monitored, sign_in: SignIn | None, trace: Trace) -> None:
        self._worker = worker
        self._sign_in = sign_in
        self._trace = trace

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add all pages."""
        router.add_get("/", self.status)
        router.add_get("/parts", self.parts)
        router.add_get("/history", self.history)
        router.add_get("/trace", self.trace_form)
        router.add_get("/trace/{activation}", self.trace)
        router.add_get(STATIC + "{name}", static)
        if self._sign_in is not None:
            router.add_get(SIGN_IN, self.sign_in_form)
            router.add_post(SIGN_IN, self.sign_in)
            router.add_post(SIGN_OUT, self.sign_out)

    async def status(self, request: web.Request) -> web.Response:
        """The whole page."""
        return self._status("status.html", request)

    async def parts(self, request: web.Request) -> web.Response:
        """The parts of the page that change."""
        return self._status("parts.html", request)

    async def history(self, request: web.Request) -> web.Response:
        """The samples of the last hour after `since` (epoch seconds), as JSON."""
        try:
            since = float(request.query.get("since", "0"))
        except ValueError:
            raise web.HTTPBadRequest(text="since: epoch seconds\n") from None
        return _compressed(web.json_response(self._worker.history.since(since)))

    async def trace_form(self, request: web.Request) -> web.Response:
        """Redirect to the page of the activation that the form asks for."""
        asked = request.query.get("activation", "")
        found = parse(asked)
        if found is None:
            return self._traced(request, asked, problem=_NO_ID, status=400)
        where = {"namespace": found.namespace} if found.namespace else {}
        query = f"?{urlencode(where)}" if where else ""
        raise web.HTTPSeeOther(f"/trace/{found.id}{query}")

    async def trace(self, request: web.Request) -> web.Response:
        """Where an activation is, as a page or as JSON."""
        asked, namespace = request.match_info["activation"], request.query.get("namespace")
        found = parse(f"{namespace}/{asked}" if namespace else asked)
        if found is None:
            return self._traced(request, asked, problem=_NO_ID, status=400)
        try:
            account = await self._trace(found)
        except TraceBusyError:
            response = self._traced(request, found.text, problem=_BUSY, status=503)
            response.headers["Retry-After"] = "5"
            return response
        # Megabytes of logs take seconds.
        return await asyncio.to_thread(self._traced, request, found.text, account=account)

    async def sign_in_form(self, request: web.Request) -> web.Response:
        """Ask for the token."""
        return self._sign_in_page(after_sign_in(request.query.get("next", "/")))

    async def sign_in(self, request: web.Request) -> web.Response:
        """Exchange the token for a cookie."""
        assert self._sign_in is not None  # noqa: S101 - there is no such route without
        _refuse_strangers(request)
        if (request.content_length or 0) > LONGEST_FORM or request.content_length is None:
            raise web.HTTPRequestEntityTooLarge(LONGEST_FORM, request.content_length or 0)
        form = await _form(request)
        after = after_sign_in(form.get("next", "/"))
        try:
            cookie = self._sign_in.attempt(form.get("token", ""), request.remote or "")
        except TooManyAttemptsError as error:
            response = self._sign_in_page(after, f"Too many attempts: wait {error.seconds} s.", 429)
            response.headers["Retry-After"] = str(error.seconds)
            return response
        if cookie is None:
            return self._sign_in_page(after, "This is not the token.", 401)
        response = web.Response(status=303, headers={"Location": after})
        response.set_cookie(COOKIE, cookie, max_age=LASTS, **_cookie_rules(request)._asdict())
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """Sign out, and delete the cookie."""
        assert self._sign_in is not None  # noqa: S101 - there is no such route without
        _refuse_strangers(request)
        self._sign_in.sign_out(_cookie(request) or "")
        response = web.Response(status=303, headers={"Location": SIGN_IN})
        response.del_cookie(COOKIE, path="/")
        return response

    def _status(self, template: str, request: web.Request) -> web.Response:
        view = view_of(self._worker)
        return _page(
            template,
            view=view,
            condition=view.condition,
            database=view.condition.database,
            lately=view.lately,
            signed_in=_cookie(request) is not None,
        )

    def _sign_in_page(self, after: str, problem: str = "", status: int = 200) -> web.Response:
        ready = not_ready(self._worker) is None
        return _page(
            "sign_in.html", status, after=after, problem=problem, ready=ready, signed_in=False
        )

    def _traced(
        self,
        request: web.Request,
        asked: str,
        *,
        account: Account | None = None,
        problem: str = "",
        status: int = 200,
    ) -> web.Response:
        told = account.as_json() if account else None
        if _wants_json(request):
            text = json.dumps(told or {"problem": problem}, indent=2)
            return web.Response(text=text, content_type="application/json", status=status)
        logs = told["logs"] if told else []
        return _page(
            "trace.html",
            status,
            app_id=self._worker.kafka.app_id,
            asked=asked,
            problem=problem,
            account=told and {**told, "logs": logs[:LOG_LINES]},
            level=_level(account),
            logs_left_out=max(0, len(logs) - LOG_LINES),
            json_link=_json_link(asked),
            signed_in=_cookie(request) is not None,
        )


_NO_ID = "An activation id has 32 hex digits; it may follow its namespace: namespace/id."
_BUSY = "Other activations are being looked for just now: try again in a few seconds."


async def static(request: web.Request) -> web.Response:
    """A file that a page needs, whose link changes with its content."""
    found = static_files().get(request.path)
    if found is None:
        raise web.HTTPNotFound
    response = web.Response(body=found.content, content_type=found.kind, charset="utf-8")
    if request.query_string == found.version:
        response.headers["Cache-Control"] = "max-age=31536000, immutable"
    return _compressed(response)


def _page(template: str, status: int = 200, **values: object) -> web.Response:
    text = render(template, **values)
    response = web.Response(
        text=text, status=status, content_type="text/html", headers=HTML_HEADERS
    )
    return _compressed(response)


def _compressed(response: web.Response) -> web.Response:
    # If the client accepts it. No page has a secret beside text that somebody else may choose.
    response.enable_compression()
    return response


def _cookie(request: web.Request) -> str | None:
    return cookie_in(request.headers.get("Cookie", ""))


class _CookieRules(NamedTuple):
    path: str
    httponly: bool
    samesite: str
    secure: bool


def _cookie_rules(request: web.Request) -> _CookieRules:
    # Whoever forges this header affects only their own cookie.
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return _CookieRules("/", True, "Strict", request.secure or forwarded == "https")


def _refuse_strangers(request: web.Request) -> None:
    """Refuse requests that another site makes a browser send."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        same = site in ("same-origin", "none")
    else:
        # Without TLS browsers send only `Origin`, and a proxy may have changed the other two.
        ours = {request.headers.get(name) for name in ("Host", "X-Forwarded-Host")}
        same = origin is None or _server_of(origin) in ours
    if not same:
        raise web.HTTPForbidden(text="Sign in on this worker's own page.\n")


def _server_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # for example http://[
        return ""


async def _form(request: web.Request) -> dict[str, str]:
    """The fields of a form in the only encoding that our pages use.

    aiohttp reads more kinds of forms, and raises many kinds of exceptions for malformed ones.
    """
    if request.content_type != _FORM or "Content-Encoding" in request.headers:
        raise web.HTTPUnsupportedMediaType(text=f"expected {_FORM}\n")
    try:
        text = (await request.read()).decode(errors="replace")
        return dict(parse_qsl(text, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise web.HTTPBadRequest(text="not a form\n") from None


def _wants_json(request: web.Request) -> bool:
    wanted = request.query.get("format")
    if wanted is not None:
        return wanted == "json"
    accepted = request.headers.get("Accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def _level(account: Account | None) -> str:
    if account is None:
        return ""
    if account.fate in (Fate.STORED, Fate.LEFT_OUT):
        return "well"
    return "mind" if account.fate in (Fate.WAITING, Fate.REPORTED, Fate.UNKNOWN) else "trouble"


def _json_link(asked: str) -> str:
    found = parse(asked)
    if found is None:
        return ""
    where = {"namespace": found.namespace} if found.namespace else {}
    return f"/trace/{quote(found.id)}?{urlencode({**where, 'format': 'json'})}"
