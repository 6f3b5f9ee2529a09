"""What others wrote stays text, whatever it is; no script or style stands in a page itself."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest

from app.monitoring.activity import Estimate
from app.monitoring.group.roster import Heard
from app.monitoring.group.snapshot import Counts, LastLetter, Snapshot
from app.monitoring.page.rendering import STATIC, render, static_files
from app.monitoring.page.trouble import (
    Condition,
    Finding,
    Held,
    Kafka,
    Level,
    Partition,
    Summary,
    summary,
)
from app.monitoring.page.view import MOST_PARTITIONS, Busiest, View, ordered
from app.monitoring.progress import State
from app.monitoring.trace.account import Account
from app.process.recent import Line
from app.settings.listing import Row

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}\x1b[31m\u202e\n"
NOW = 1_800_014_400.0


def view(text: str, partitions: int = 1) -> View:
    told = Snapshot(
        text,
        version=text,
        why=text,
        held=[text],
        latest=[LastLetter(NOW, text, text, text)],
    )
    condition = Condition(
        now=NOW,
        kafka=Kafka(text, away_since=NOW, error=text, unreadable={text: text}, refuses=text),
        partitions=[
            Partition(text, n, State.STUCK, n, text, since=NOW, why=text, oldest=NOW)
            for n in range(partitions)
        ],
        held={text: Held(NOW, NOW, text)},
        workers=[Heard(told, 0.0, own=True), Heard(told, 20.0, missing=True)],
        unheard=text,
        forgetful=text,
    )
    shown = ordered(condition.partitions)
    return View(
        version="0",
        app_id=text,
        condition=condition,
        summary=summary(condition),
        own=told,
        partitions=shown[:MOST_PARTITIONS],
        left_out=max(0, len(shown) - MOST_PARTITIONS),
        counts=Counts(),
        lately=None,
        set_aside=[(text, 3)],
        latest=told.latest,
        warnings=[Line(NOW, "ERROR", text)],
        settings=[Row(text, text, "environment", "")],
        guard=0,
        activity=Busiest(16, [Estimate(text, 32, 0, 16, 0.5, 2.0)], []),
    )


def page(template: str, shown: View) -> str:
    return render(
        template,
        view=shown,
        condition=shown.condition,
        database=shown.condition.database,
        lately=shown.lately,
        signed_in=True,
    )


class Reader(HTMLParser):
    """Collects tags, and checks that each is closed in its turn."""

    EMPTY = frozenset({"meta", "link", "input", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("template", ["status.html", "parts.html"])
def test_what_others_wrote_stays_text(template: str) -> None:
    html = page(template, view(HOSTILE))
    read = Reader(html)
    scripts = [attributes.get("src") or "" for tag, attributes in read.tags if tag == "script"]
    assert all(source.startswith(STATIC) for source in scripts)
    assert not any(tag == "img" for tag, _ in read.tags)
    assert "{{ 7*7 }}" in read.text
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_nothing_in_a_page_needs_more_than_its_own_files() -> None:
    for html in (
        page("status.html", view("x")),
        render("sign_in.html", after="/", problem="", ready=True, signed_in=False),
        traced(Account("0" * 32)),
    ):
        for tag, attributes in Reader(html).tags:
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            assert tag != "style"
            for name in ("src", "href", "action"):
                assert (attributes.get(name) or "/").startswith(("/", "#"))
    assert not re.search(
        rb"https?://(?!www\.w3\.org/2000/svg)",
        b"".join(one.content for path, one in static_files().items() if "uPlot" not in path),
    )


def test_a_page_is_bounded_whatever_the_number_of_partitions() -> None:
    html = page("status.html", view("topic", partitions=2000))
    assert html.count("topic<span") == MOST_PARTITIONS
    assert "1\u202f700 partitions with less to look at" in html


def test_the_busiest_are_shown_and_can_be_switched_off() -> None:
    shown = view("guest")
    text = Reader(page("parts.html", shown)).text
    assert "Busiest namespaces" in text
    assert "16 (50 %)" in text.replace("\n", " ")
    off = Reader(page("parts.html", replace(shown, activity=None))).text
    assert "Busiest" not in off


def traced(account: Account, **changes: Any) -> str:
    values: dict[str, Any] = {
        "app_id": "a",
        "asked": account.activation_id,
        "problem": "",
        "account": account.as_json(),
        "level": "well",
        "logs_left_out": 0,
        "json_link": "/trace/x?format=json",
        "signed_in": False,
    }
    return render("trace.html", **(values | changes))


def test_what_an_activation_wrote_stays_text() -> None:
    document = {"_rev": HOSTILE, "namespace": HOSTILE, "logs": [HOSTILE], "name": [HOSTILE]}
    account = Account("0" * 32, stored=document, not_looked_at=[HOSTILE])
    read = Reader(traced(account, asked=HOSTILE, problem=HOSTILE))
    assert not any(tag in ("script", "img") for tag, _ in read.tags)
    assert "\x1b" not in read.text
    assert "{{ 7*7 }}" in read.text


def test_a_problem_of_a_sign_in_is_told_to_a_screen_reader() -> None:
    html = render("sign_in.html", after=HOSTILE, problem="no", ready=False, signed_in=False)
    (field,) = [
        attributes for _, attributes in Reader(html).tags if attributes.get("id") == "token"
    ]
    assert field["aria-describedby"] == "problem"
    assert field["type"] == "password"


def test_a_command_in_a_sentence_is_shown_as_one_and_nothing_in_it_is_markup() -> None:
    finding = Finding(Level.MIND, "what", do="See `persister doctor <b>` & more.")
    told = Summary(Level.MIND, "Look", "", [finding])
    html = render("verdict.html", view=SimpleNamespace(summary=told))
    assert "See <code>persister doctor &lt;b&gt;</code> &amp; more." in html
    odd = Summary(Level.MIND, "Look", "", [Finding(Level.MIND, "what", do="one ` <i>")])
    assert "one ` &lt;i&gt;" in render("verdict.html", view=SimpleNamespace(summary=odd))
