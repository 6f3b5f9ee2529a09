import pytest

from app.couchdb.design_documents import design_documents, wanted


def test_the_views_that_openwhisk_reads_are_there() -> None:
    views = {
        f"{name}/{view}": sorted(functions)
        for name, fields in design_documents().items()
        for view, functions in fields["views"].items()
    }
    assert views == {
        "activations/byDate": ["map"],
        "logCleanup/byDateWithLogs": ["map"],
        "whisks-filters.v2.1.1/activations": ["map", "reduce"],
        "whisks.v2.1.0/activations": ["map", "reduce"],
    }


def test_listings_are_counted() -> None:
    listing = design_documents()["whisks.v2.1.0"]["views"]["activations"]
    assert listing["reduce"] == "_count"
    assert listing["map"].startswith("function (doc) {")


@pytest.mark.parametrize(
    "there, created",
    [
        ([], ["activations", "logCleanup", "whisks-filters.v2.1.1", "whisks.v2.1.0"]),
        (["_design/v"], ["activations", "logCleanup", "whisks-filters.v2.1.1", "whisks.v2.1.0"]),
        (["_design/whisks.v2.1.0"], ["activations", "logCleanup", "whisks-filters.v2.1.1"]),
        (["_design/whisks-filters.v2.1.0"], []),
        (["_design/whisks.v2.1.0", "_design/whisks-filters.v3.0.0"], []),
    ],
)
def test_nothing_is_put_beside_another_version(there: list[str], created: list[str]) -> None:
    assert wanted(there) == created
