import asyncio

import pytest

from openwhisk.gateway.shares import SMALL, Share, Shares

MB = 1024 * 1024


@pytest.fixture
def shares() -> Shares:
    return Shares(64 * MB)


async def waits(share: Share, size: int) -> asyncio.Task[None]:
    """The task of a share that has no room for this size."""
    task = asyncio.create_task(share.hold(size))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_small_bodies_never_wait(shares: Shares) -> None:
    large = [shares.share(f"address {number}") for number in range(4)]
    await large[0].hold(64 * MB)
    for number in range(1000):
        await shares.share("address 0", f"user {number}").hold(SMALL)


async def test_one_client_leaves_room_for_the_next(shares: Shares) -> None:
    greedy = [shares.share("address a", f"user {number}") for number in range(8)]
    for share in greedy[:4]:
        await share.hold(8 * MB)
    waiting = [await waits(share, 8 * MB) for share in greedy[4:]]
    await shares.share("address b").hold(16 * MB)
    assert shares.in_flight == 48 * MB
    for task in waiting:
        task.cancel()


async def test_a_user_counts_from_whatever_address(shares: Shares) -> None:
    for number in range(4):
        await shares.share(f"address {number}", "user a").hold(8 * MB)
    task = await waits(shares.share("address 9", "user a"), 8 * MB)
    await shares.share("address 9", "user b").hold(8 * MB)
    task.cancel()


async def test_the_oldest_body_of_a_client_ends_before_its_others(shares: Shares) -> None:
    first, second = shares.share("address a"), shares.share("address a")
    await first.hold(20 * MB)
    await second.hold(12 * MB)
    task = await waits(second, 30 * MB)
    await first.hold(40 * MB)
    first.release()
    await task
    assert second.held == 30 * MB


async def test_when_all_is_taken_the_oldest_body_ends_all_the_same(shares: Shares) -> None:
    bodies = [shares.share(f"address {number}") for number in range(4)]
    for share in bodies:
        await share.hold(16 * MB)
    tasks = [await waits(share, 20 * MB) for share in bodies[1:]]
    await bodies[0].hold(40 * MB)
    for share in bodies:
        share.release()
    await asyncio.gather(*tasks)
    for share in bodies:
        share.release()
    assert shares.in_flight == 0


async def test_who_gives_up_leaves_nothing_behind(shares: Shares) -> None:
    first, second = shares.share("address a"), shares.share("address a")
    await first.hold(40 * MB)
    task = await waits(second, 40 * MB)
    task.cancel()
    await asyncio.wait({task})
    second.release()
    first.release()
    assert shares.in_flight == 0
    await shares.share("address a").hold(64 * MB)
