"""What the invoicing app does when something happened below it. Each may run twice."""

from billing_project.core import clock
from billing_project.core.actors import Actor
from billing_project.core.events import StoredEvent
from customers.queries import get_customer, now_for
from invoicing.models import BillRunTrigger
from invoicing.runs.bill_runs import start_bill_run, work_bill_run
from subscriptions.queries import get_subscription


def bill_new_subscription(event: StoredEvent) -> None:
    """Bill what a new subscription owes at once: the first fees in advance, and any past periods."""
    subscription = get_subscription(event.subject_id)
    customer = get_customer(subscription.customer_id)
    run = start_bill_run(
        at=now_for(customer_id=customer.pk, real_now=clock.now()),
        trigger=BillRunTrigger.EVENT,
        test_clock_id=customer.test_clock_id,
        subscription_ids=[subscription.pk],
    )
    if run is not None:
        work_bill_run(run_id=run.pk, read_now=clock.now, actor=Actor.system("bill-run"))
