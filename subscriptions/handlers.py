"""What the subscriptions app does when something happened below it. Each may run twice."""

from uuid import UUID

from billing_project.core.actors import Actor
from billing_project.core.clock import now
from billing_project.core.events import StoredEvent
from catalog.queries import get_numbered_version
from customers.queries import now_for
from subscriptions.instants import When
from subscriptions.locks import lock_slots_exclusive
from subscriptions.operations import continue_migration, follow_timezone
from subscriptions.queries import list_running_ids


def move_subscriptions(event: StoredEvent) -> None:
    """Have a customer's subscriptions follow when the customer has moved to another time zone."""
    changed = event.payload["changed"]
    assert isinstance(changed, list)
    if "timezone" not in changed:
        return
    at = now_for(customer_id=event.subject_id, real_now=now())
    subscription_ids = list_running_ids(event.subject_id, at=at)
    lock_slots_exclusive(subscription_ids)  # All at once, before the customer.
    for subscription_id in subscription_ids:
        follow_timezone(subscription_id=subscription_id, at=at, actor=Actor.system("time-zones"))


def migrate_subscriptions(event: StoredEvent) -> None:
    """Take some subscriptions of a plan version to another."""
    asked = event.payload
    numbers = (asked["from_version"], asked["to_version"])
    source, target = (get_numbered_version(plan_id=event.subject_id, number=int(str(n))) for n in numbers)
    subscription_ids, after = asked["subscription_ids"], asked["after"]
    assert subscription_ids is None or isinstance(subscription_ids, list)
    continue_migration(
        source=source,
        target=target,
        when=When(str(asked["when"])),
        subscription_ids=None if subscription_ids is None else [UUID(each) for each in subscription_ids],
        after=None if after is None else UUID(str(after)),
        at=now(),
        actor=Actor.system("plan-migrations"),
    )
