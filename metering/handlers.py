"""What metering does when something has happened to a subscription or a meter. Each may run twice."""

from billing_project.core import clock
from billing_project.core.actors import Actor
from billing_project.core.dispatch import send_on_commit
from billing_project.core.events import StoredEvent
from catalog.models import CatalogStatus
from catalog.queries import get_meter
from customers.queries import now_for
from metering.models import FillStatus
from metering.operations import match_unmatched_events, start_fill

METERING = Actor.system("metering")
FILL_TASK = "metering.tasks.fill_meters"


def match_usage_of(event: StoredEvent) -> None:
    """Give the subscription the events that came before it."""
    assert event.customer_id is not None, "A subscription has a customer."
    match_unmatched_events(
        subscription_id=event.subject_id,
        at=now_for(customer_id=event.customer_id, real_now=clock.now()),
        actor=METERING,
    )


def fill_meter(event: StoredEvent) -> None:
    """Have a meter that begins to count, or does so again, count what came before.

    Without a broker, what is not done on the spot waits for beat. A meter that was archived meanwhile is
    filled when it is brought back.
    """
    if get_meter(event.subject_id).status != CatalogStatus.ACTIVE:
        return
    fill = start_fill(meter_id=event.subject_id, at=clock.now(), actor=METERING)
    if fill.status != FillStatus.COMPLETED:
        send_on_commit(FILL_TASK)
