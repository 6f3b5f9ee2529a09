"""Looking for activations within a worker: a few at a time."""

import asyncio
from typing import Any

import pytest

from app.monitoring.trace import desk
from app.monitoring.trace.account import Account
from app.monitoring.trace.activation import ActivationId, parse

ID = "0123456789abcdef0123456789abcdef"


async def test_only_a_few_are_looked_for_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    going = asyncio.Event()

    async def trace(_settings: Any, activation: ActivationId, *_: Any) -> Account:
        await going.wait()
        return Account(activation.id)

    monkeypatch.setattr(desk, "trace", trace)
    nothing: Any = None
    asked = desk.Desk(nothing, nothing)
    first = [asyncio.create_task(asked.ask(ActivationId(None, ID))) for _ in range(desk.MOST)]
    await asyncio.sleep(0)
    with pytest.raises(desk.TraceBusyError):
        await asked.ask(ActivationId(None, ID))
    going.set()
    await asyncio.gather(*first)
    assert (await asked.ask(ActivationId(None, ID))).activation_id == ID


@pytest.mark.parametrize(
    "text,expected",
    [
        (ID, ActivationId(None, ID)),
        (f"  {ID.upper()}\n", ActivationId(None, ID)),
        (f"guest/{ID}", ActivationId("guest", ID)),
        (f"a/b/{ID}", ActivationId("a/b", ID)),
        (f"/{ID}", None),
        (ID[1:], None),
        (f"{ID}0", None),
        (f"a\x1b/{ID}", None),
        (f"{'n' * 300}/{ID}", None),
        ("", None),
    ],
)
def test_an_activation_is_asked_for_by_id_or_with_its_namespace(
    text: str, expected: ActivationId | None
) -> None:
    assert parse(text) == expected
