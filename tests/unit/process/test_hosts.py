import pytest

from app.process.hosts import is_loopback, known


@pytest.mark.parametrize(
    "address,expected",
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - nothing listens there
        ("::", False),
        ("", False),
        ("10.0.0.7", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_only_addresses_of_this_machine_are_loopback(address: str, *, expected: bool) -> None:
    assert is_loopback(address) is expected


@pytest.mark.parametrize(
    "host,expected",
    [
        ("localhost", True),
        ("localhost:6066", True),
        ("127.0.0.1:6066", True),
        ("[::1]:6066", True),
        ("10.0.0.7", True),
        ("Mine.example:80", True),
        ("mine.example.", True),
        ("", False),
        ("evil.example", False),
        ("mine.example.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("evil.example:127.0.0.1", False),
        ("[::1].evil.example", False),
        ("localhost:80@evil.example", False),
        ("localhost:80:evil.example", False),
        ("localhost:x", False),
        ("localhost:\u0668\u0660", False),
        ("[::1]:80@evil.example", False),
        ("localhost:", True),
    ],
)
def test_only_names_that_are_told_and_addresses_are_known(host: str, *, expected: bool) -> None:
    assert known([host], {"mine.Example"}) is expected


def test_each_of_several_hosts_must_be_known() -> None:
    assert known([], set())
    assert not known(["localhost", "evil.example"], set())
