from importlib import import_module


def test_the_compiled_part_of_faust_is_there() -> None:
    # Without it, events of an earlier generation are acknowledged unprocessed.
    compiled = import_module("faust._cython.streams").__file__
    assert str(compiled).endswith(".so")
