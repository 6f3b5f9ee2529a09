"""Host names that a web server answers to.

A stranger's web page can point its own host name to a server that only the visitor's browser can
reach (DNS rebinding), and then read that server's responses, because the browser takes both for one
site. Such a request has the stranger's name in `Host`.
"""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from ipaddress import ip_address

_OWN = {"localhost"}

_port = re.compile(r":[0-9]*\Z")


def known(hosts: Iterable[str], names: AbstractSet[str]) -> bool:
    """Whether a request is meant for this server.

    Args:
        hosts: its `Host` headers. Browsers always send one; who sends none is no browser.
        names: that the server has besides `localhost`. Addresses are always its own: a
            stranger's page has no address of ours for a name.
    """
    own = {name.lower() for name in names} | _OWN
    return all(_known(host, own) for host in hosts)


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address; not, when it is a name or empty."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _known(host: str, names: AbstractSet[str]) -> bool:
    name = _without_port(host.strip()).lower().rstrip(".")
    if name in names:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _without_port(host: str) -> str:
    name = _port.sub("", host)
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def reachable(host: str) -> str:
    """Where this machine finds what listens on an address: loopback, where that is all of them."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104
