"""Has every downloader trust the authorities that the system trusts.

uv, Node and requests bring lists of their own, which know nothing of an authority that a company
has added: its proxy would be trusted by pip and by nothing else. Imports the standard library
alone, as everything that runs before the packages are there.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Where uv and OpenSSL, requests, and Node look."""

BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)
"""The system's own list: on Debian, Fedora, SUSE; on Alpine and macOS."""


def trusting(environment: Mapping[str, str], bundles: tuple[Path, ...] = BUNDLES) -> dict[str, str]:
    """The environment, with a list of authorities for each downloader that has been given none."""
    bundle = next((str(one) for one in bundles if one.is_file()), None)
    given = dict.fromkeys(VARIABLES, bundle) if bundle else {}
    return {**given, **environment}


@contextlib.contextmanager
def trusted() -> Iterator[None]:
    """The same for this process, for a time."""
    before = dict(os.environ)
    os.environ.update(trusting(before))
    try:
        yield
    finally:
        for name in VARIABLES:
            if name not in before:
                os.environ.pop(name, None)
