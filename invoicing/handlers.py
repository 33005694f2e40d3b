"""What the invoicing app does when something happened below it. Each may run twice."""

from billing_project.core import clock
from billing_project.core.dispatch import send_on_commit
from billing_project.core.events import StoredEvent
from customers.queries import get_customer, now_for
from invoicing.models import BillRunTrigger
from invoicing.runs.bill_runs import start_bill_run
from subscriptions.queries import get_subscription

WORK_TASK = "invoicing.tasks.work_on_bill_run"


def bill_new_subscription(event: StoredEvent) -> None:
    """Start a bill run on a new subscription: its first fees and any past periods are due at once.

    A worker is put on it as soon as the run is stored. Without a broker it waits for beat, which puts workers
    on every run that has items to take.
    """
    subscription = get_subscription(event.subject_id)
    customer = get_customer(subscription.customer_id)
    run = start_bill_run(
        at=now_for(customer_id=customer.pk, real_now=clock.now()),
        trigger=BillRunTrigger.EVENT,
        test_clock_id=customer.test_clock_id,
        subscription_ids=[subscription.pk],
    )
    if run is not None:
        send_on_commit(WORK_TASK, run_id=str(run.pk))
