from app.couchdb.design_documents import design_documents


def test_the_views_that_openwhisk_reads_are_there() -> None:
    views = {
        f"{name}/{view}": sorted(functions)
        for name, fields in design_documents().items()
        for view, functions in fields["views"].items()
    }
    assert views == {
        "activations/byDate": ["map"],
        "logCleanup/byDateWithLogs": ["map"],
        "whisks-filters.v2.1.0/activations": ["map", "reduce"],
        "whisks-filters.v2.1.1/activations": ["map", "reduce"],
        "whisks.v2.1.0/activations": ["map", "reduce"],
    }


def test_listings_are_counted() -> None:
    listing = design_documents()["whisks.v2.1.0"]["views"]["activations"]
    assert listing["reduce"] == "_count"
    assert listing["map"].startswith("function (doc) {")
