"""Which activations are removed, in what portions, and what happens when the database does not."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from app.couchdb.errors import (
    DatabaseError,
    DatabaseMissing,
    Misconfigured,
    RequestRefused,
    Unavailable,
)
from app.couchdb.old_activations import PAGE, OldActivation
from app.expiry.removal import Method, Progress, Removal, too_young

DAY = 86_400
NO_ADMIN = Misconfigured("You are not a server admin.", cause="401")


@dataclass
class MemoryStore:
    """Activations in memory; `errors` are raised by the next requests, one each."""

    activations: dict[str, OldActivation]
    errors: list[DatabaseError] = field(default_factory=list)
    refusal: DatabaseError | None = None
    """What purging is refused with."""

    purged: int = 0
    deleted: int = 0
    sizes: list[int] = field(default_factory=list)
    untouchable: set[str] = field(default_factory=set)

    async def count_before(self, cutoff: int) -> int:
        self._fail()
        return sum(one.start < cutoff for one in self.activations.values())

    async def oldest(
        self, cutoff: int, limit: int, after: OldActivation | None
    ) -> list[OldActivation]:
        self._fail()
        rows = sorted(self.activations.values(), key=lambda one: (one.start, one.id))
        place = (after.start, after.id) if after else (0, "")
        return [one for one in rows if (one.start, one.id) > place and one.start < cutoff][:limit]

    async def purge(self, activations: Sequence[OldActivation]) -> int:
        if self.refusal:
            raise self.refusal
        removed = self._remove(activations)
        self.purged += removed
        return removed

    async def delete(self, activations: Sequence[OldActivation]) -> int:
        removed = self._remove(activations)
        self.deleted += removed
        return removed

    def _remove(self, activations: Sequence[OldActivation]) -> int:
        self._fail()
        self.sizes.append(len(activations))
        going = [one for one in activations if one.id not in self.untouchable]
        for one in going:
            del self.activations[one.id]
        return len(going)

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


class Clock:
    """Goes on by a second with each look, and by what is slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        self.now += 1.0
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def store_of(count: int) -> MemoryStore:
    rows = [OldActivation(f"ns/{number:04}", "1-a", number) for number in range(count)]
    return MemoryStore({one.id: one for one in rows})


def removal(store: MemoryStore, clock: Clock | None = None, **options: object) -> Removal:
    clock = clock or Clock()
    return Removal(store, sleep=clock.sleep, clock=clock, **options)  # type: ignore[arg-type]


async def test_what_is_older_goes_and_what_is_younger_stays() -> None:
    store = store_of(350)
    progress = await removal(store).run(cutoff=250)
    assert (progress.found, progress.removed, progress.changed) == (250, 250, 0)
    assert min(one.start for one in store.activations.values()) == 250
    assert max(store.sizes) <= PAGE


async def test_it_is_purged_where_that_is_allowed() -> None:
    store = store_of(10)
    progress = await removal(store).run(10)
    assert (store.purged, store.deleted, progress.method) == (10, 0, Method.PURGE)


@pytest.mark.parametrize(
    "refusal",
    [NO_ADMIN, Unavailable("Not Allowed", cause="405"), RequestRefused("only multipart")],
)
async def test_it_is_deleted_where_purging_is_refused(refusal: DatabaseError) -> None:
    store = store_of(150)
    store.refusal = refusal
    progress = await removal(store).run(150)
    assert (store.purged, store.deleted, progress.method) == (0, 150, Method.DELETE)


@pytest.mark.parametrize(
    "refusal",
    [
        Misconfigured("a redirect to another address", cause="redirect"),
        Misconfigured("temporarily locked", cause="locked"),
        Misconfigured("not trusted", cause="certificate"),
        DatabaseMissing("no_db_file", cause="404"),
    ],
)
async def test_what_says_nothing_of_purging_leaves_no_tombstones(refusal: DatabaseError) -> None:
    store = store_of(10)
    store.refusal = refusal
    with pytest.raises(Misconfigured):
        await removal(store).run(10)
    assert (store.deleted, len(store.activations)) == (0, 10)


async def test_a_trouble_that_lasts_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    store = store_of(10)
    store.errors = [Unavailable("busy", cause="503", retry_after=1.0) for _ in range(5)]
    store.errors += [Unavailable("down", cause="503", retry_after=1.0) for _ in range(2)]
    assert (await removal(store).run(10)).removed == 10
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == ["busy", "down"]


async def test_purging_that_was_asked_for_is_not_replaced() -> None:
    store = store_of(10)
    store.refusal = NO_ADMIN
    with pytest.raises(Misconfigured):
        await removal(store, method=Method.PURGE).run(10)
    assert len(store.activations) == 10


async def test_what_was_changed_meanwhile_stays_and_does_not_hold_the_rest() -> None:
    store = store_of(350)
    store.untouchable = {f"ns/{number:04}" for number in range(120)}
    progress = await removal(store).run(350)
    assert (progress.removed, progress.changed) == (230, 120)
    assert set(store.activations) == store.untouchable


async def test_a_limit_ends_the_run() -> None:
    store = store_of(350)
    progress = await removal(store, limit=130).run(350)
    assert (progress.found, progress.removed) == (350, 130)
    assert store.sizes == [100, 30]


async def test_the_database_rests_in_proportion_to_its_work() -> None:
    store, clock = store_of(300), Clock()
    began = clock.now
    await removal(store, clock, share=0.25).run(300)
    rested = sum(clock.slept)
    assert rested == pytest.approx(0.75 * (clock.now - began), rel=0.2)


async def test_what_passes_by_itself_is_tried_again() -> None:
    store = store_of(10)
    store.errors = [Unavailable("busy", cause="503") for _ in range(3)]
    progress = await removal(store).run(10)
    assert progress.removed == 10


async def test_a_pause_that_the_database_asks_for_is_kept() -> None:
    store, clock = store_of(10), Clock()
    store.errors = [Unavailable("slow down", cause="429", retry_after=17.0)]
    await removal(store, clock).run(10)
    assert clock.slept[0] == 17.0


async def test_a_database_that_never_answers_ends_the_run_sooner() -> None:
    store, clock = store_of(10), Clock()
    store.errors = [Unavailable("no connection", cause="connection") for _ in range(1000)]
    with pytest.raises(Unavailable):
        await removal(store, clock, patience=600.0).run(10)
    assert sum(clock.slept) <= 60.0


async def test_a_dry_run_removes_nothing() -> None:
    store = store_of(10)
    assert await removal(store).look(5) == Progress(5, found=5, oldest=0)
    assert len(store.activations) == 10


def test_what_kafka_may_still_hold_is_too_young() -> None:
    now = 1_000 * DAY
    assert too_young((now - 7 * DAY) * 1000, now, 7 * DAY) == 8 * DAY
    assert too_young((now - 8 * DAY) * 1000, now, 7 * DAY) is None


async def test_a_view_that_lists_for_ever_what_is_not_there_ends_a_run() -> None:
    class Endless(MemoryStore):
        async def oldest(
            self, cutoff: int, limit: int, after: OldActivation | None
        ) -> list[OldActivation]:
            number = int(after.id) + 1 if after else 0
            return [OldActivation(f"{number:09}", "1-a", cutoff - 1)][:limit]

        async def purge(self, activations: Sequence[OldActivation]) -> int:
            self.sizes.append(len(activations))
            return 0

    store = Endless({})
    with pytest.raises(Unavailable, match="nothing that could be removed"):
        await removal(store).run(DAY)
    assert len(store.sizes) == 100


async def test_what_is_removed_again_and_again_ends_a_run() -> None:
    class Unchanged(MemoryStore):
        async def oldest(
            self,
            cutoff: int,
            limit: int,
            after: OldActivation | None,  # noqa: ARG002 - the same whatever came before
        ) -> list[OldActivation]:
            return [OldActivation(f"ns/{number}", "1-a", cutoff - 1) for number in range(3)][:limit]

        async def purge(self, activations: Sequence[OldActivation]) -> int:
            self.sizes.append(len(activations))
            return len(activations)

    store = Unchanged({})
    with pytest.raises(Unavailable, match="nothing that could be removed"):
        await removal(store).run(DAY)
    assert len(store.sizes) == 101
