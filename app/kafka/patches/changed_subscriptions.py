"""Joins the group anew when the subscription changed while its coordinator was looked for.

aiokafka 0.14's coordinator routine takes what is subscribed to, looks for the group's coordinator,
which lasts as long as that broker is away, and then relies on nothing having changed meanwhile. A
topic that was found in between is a new subscription, without the old one's assignment.

Not reported.

- Symptom: "Unexpected error in coordinator routine" with an `AssertionError` without a word, after
  an outage of the broker that coordinates the group.
- Reproduction: stop that broker, subscribe to one more topic, start it again.
- Mend: after `ensure_coordinator_known`, look whether the subscription is still active, as the
  routine does before.
"""

from typing import Any


def notice_changed_subscriptions(coordinator: Any) -> None:
    """Have an aiokafka `GroupCoordinator` see what has changed since it began to look."""
    known, active_group = coordinator.ensure_coordinator_known, coordinator.ensure_active_group

    async def ensure_coordinator_known() -> None:
        subscription = coordinator._subscription.subscription  # noqa: SLF001
        await known()
        if subscription is not None and not subscription.active:
            coordinator.request_rejoin()

    async def ensure_active_group(subscription: Any, previous: Any) -> Any:
        # The routine begins again then, with the present one.
        return await active_group(subscription, previous) if subscription.active else None

    coordinator.ensure_coordinator_known = ensure_coordinator_known
    coordinator.ensure_active_group = ensure_active_group
