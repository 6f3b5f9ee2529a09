"""The cookie that stands for the token in a browser."""

import pytest
from pydantic import SecretStr

from app.monitoring.sign_in import (
    ATTEMPTS,
    COOKIE,
    LASTS,
    REMEMBERED,
    WINDOW,
    SignIn,
    TooManyAttemptsError,
    after_sign_in,
    cookie_in,
)

TOKEN = SecretStr("0123456789-abcdef")
RIGHT = TOKEN.get_secret_value()


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def signed_in() -> tuple[SignIn, Clock, str]:
    clock = Clock()
    made = SignIn(TOKEN, clock, clock)
    cookie = made.attempt(f" {RIGHT}\n", "10.0.0.1")
    assert cookie is not None
    return made, clock, cookie


def test_the_token_gives_a_cookie_that_counts_for_a_while() -> None:
    made, clock, cookie = signed_in()
    assert made.accepts(cookie)
    assert RIGHT not in cookie
    clock.now += LASTS + 1
    assert not made.accepts(cookie)


def test_workers_with_the_same_token_take_each_others_cookies() -> None:
    _, clock, cookie = signed_in()
    assert SignIn(TOKEN, clock).accepts(cookie)
    assert not SignIn(SecretStr("another-token-0123"), clock).accepts(cookie)


def test_no_two_cookies_are_the_same() -> None:
    made, _, cookie = signed_in()
    assert made.attempt(RIGHT, "10.0.0.1") != cookie


def test_a_cookie_that_was_signed_out_counts_no_more() -> None:
    made, _, cookie = signed_in()
    other = made.attempt(RIGHT, "10.0.0.1")
    made.sign_out(cookie)
    made.sign_out("junk")
    assert not made.accepts(cookie)
    assert other is not None
    assert made.accepts(other)


def test_what_was_not_made_here_is_not_accepted() -> None:
    made, _, cookie = signed_in()
    ends, nonce, seal = cookie.split(".")
    later = str(int(ends) + 1)
    for forged in (
        "",
        ".",
        "..",
        "...",
        f"{later}.{nonce}.{seal}",
        f"{ends}.{nonce}x.{seal}",
        f"{ends}.{nonce}.{seal[:-1]}",
        f"{ends}.{nonce}.{seal}x",
        f"{ends}.{nonce}.",
        f"{'9' * 5000}.{nonce}.{seal}",
        f"\u0661.{nonce}.{seal}",
        f"{ends}.\udcff.{seal}",
        f"{ends}.{nonce}.\udcff",
    ):
        assert not made.accepts(forged)


@pytest.mark.parametrize("given", ["", "x", RIGHT[:-1], f"{RIGHT}x", "\udcff", "é"])
def test_a_wrong_token_gives_none(given: str) -> None:
    made, _, _ = signed_in()
    assert made.attempt(given, "10.0.0.1") is None


def test_an_address_that_guesses_is_told_to_wait() -> None:
    made, clock, _ = signed_in()
    for _ in range(ATTEMPTS):
        assert made.attempt("wrong", "10.0.0.9") is None
    with pytest.raises(TooManyAttemptsError) as raised:
        made.attempt("wrong", "10.0.0.9")
    assert 0 < raised.value.seconds <= WINDOW + 1
    clock.now += WINDOW
    assert made.attempt("wrong", "10.0.0.9") is None


def test_a_clock_that_is_set_back_locks_nobody_out_for_longer() -> None:
    wall, monotonic = Clock(), Clock()
    made = SignIn(TOKEN, wall, monotonic)
    for _ in range(ATTEMPTS):
        made.attempt("wrong", "10.0.0.9")
    wall.now -= 21_600
    monotonic.now += WINDOW
    assert made.attempt("wrong", "10.0.0.9") is None


def test_who_guesses_behind_a_proxy_locks_out_nobody_behind_it() -> None:
    made, _, _ = signed_in()
    for _ in range(ATTEMPTS):
        made.attempt("wrong", "10.0.0.9")
    assert made.attempt(RIGHT, "10.0.0.9")


def test_memory_is_bounded_whoever_guesses() -> None:
    made, _, _ = signed_in()
    for number in range(2 * REMEMBERED):
        made.attempt("wrong", f"address {number}")
        cookie = made.attempt(RIGHT, "10.0.0.1")
        assert cookie is not None
        made.sign_out(cookie)
    assert len(made._failed) <= REMEMBERED
    assert len(made._out) <= REMEMBERED


@pytest.mark.parametrize(
    "path,expected",
    [
        ("/", "/"),
        ("/trace/0123?namespace=a", "/trace/0123?namespace=a"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("/sign-in", "/"),
        ("/sign-out", "/"),
    ],
)
def test_nobody_is_sent_to_another_site(path: str, expected: str) -> None:
    assert after_sign_in(path) == expected


@pytest.mark.parametrize(
    "header, cookie",
    [
        ("", None),
        ("other=1", None),
        (f"{COOKIE}=1.a.b", "1.a.b"),
        (f"a=b; {COOKIE}=1.a.b; c", "1.a.b"),
        (f"{COOKIE}=1.a.b;{COOKIE} = 2.a.b ", "2.a.b"),
        (f"x{COOKIE}=1.a.b", None),
        (f"{COOKIE}", ""),
        ("a=b;" * 2000, None),
    ],
)
def test_our_cookie_is_found_among_others(header: str, cookie: str | None) -> None:
    assert cookie_in(header) == cookie
