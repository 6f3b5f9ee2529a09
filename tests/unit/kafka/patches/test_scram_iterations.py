"""Logins by SCRAM whose broker asks for too much or too little, with aiokafka's own client."""

import asyncio
from typing import Any

import pytest
from aiokafka.conn import ScramAuthenticator

from app.kafka.patches.scram_iterations import MOST, bound_iterations


async def first_step(iterations: object) -> Any:
    bound_iterations()
    login = ScramAuthenticator(
        loop=asyncio.get_running_loop(),
        sasl_plain_username="worker",
        sasl_plain_password="battery-staple",
        sasl_mechanism="SCRAM-SHA-256",
    )
    first, _ = await login.step(None)
    nonce = first.decode().rpartition("r=")[2]
    return await login.step(f"r={nonce}more,s=c2FsdA==,i={iterations}".encode())


async def test_kafkas_own_number_is_taken() -> None:
    payload, _ = await first_step(4096)
    assert payload.startswith(b"c=biws,r=")


@pytest.mark.parametrize("iterations", [-1, 0, 1, 4095, MOST + 1, 2_000_000_000, 10**30])
async def test_any_other_number_is_refused_at_once(iterations: int) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match=f"not {iterations}"):
            await first_step(iterations)


def test_it_is_bounded_once() -> None:
    bound_iterations()
    once = ScramAuthenticator.create_salted_password
    bound_iterations()
    assert ScramAuthenticator.create_salted_password is once
