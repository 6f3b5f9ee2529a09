import pytest

from app.dead_letters.reading import LetterId


@pytest.mark.parametrize("id_, text", [(LetterId(0, 0), "0"), (LetterId(3, 12), "3/12")])
def test_a_letters_number_can_be_read_back(id_: LetterId, text: str) -> None:
    assert str(id_) == text
    assert LetterId.parse(text) == id_


@pytest.mark.parametrize("text", ["", "/", "a", "-1", "1/", "1/2/3", "1.5", "²", "+1"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no number"):
        LetterId.parse(text)
