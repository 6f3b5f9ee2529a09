import pytest

from dev.worker import database_settings


@pytest.mark.parametrize(
    "url, settings",
    [
        (
            "http://ann:s%20t@db:5984",
            {"couchdb_url": "http://db:5984", "couchdb_user": "ann", "couchdb_password": "s t"},
        ),
        ("http://db:5984/base", {"couchdb_url": "http://db:5984/base"}),
    ],
)
def test_the_password_leaves_the_address(url: str, settings: dict[str, str]) -> None:
    assert database_settings(url) == settings
