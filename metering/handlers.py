"""What metering does when something has happened to a subscription. Each may run twice."""

from billing_project.core import clock
from billing_project.core.actors import Actor
from billing_project.core.events import StoredEvent
from customers.queries import now_for
from metering.operations import match_unmatched_events


def match_usage_of(event: StoredEvent) -> None:
    """Give the subscription the events that came before it."""
    assert event.customer_id is not None, "A subscription has a customer."
    match_unmatched_events(
        subscription_id=event.subject_id,
        at=now_for(customer_id=event.customer_id, real_now=clock.now()),
        actor=Actor.system("metering"),
    )
