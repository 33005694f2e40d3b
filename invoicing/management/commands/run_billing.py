"""`manage.py run_billing`: bill all that is due, here and now, without beat or worker."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_project.core import clock
from billing_project.core.actors import Actor
from invoicing.models import BillRunItemStatus, BillRunTrigger
from invoicing.runs.bill_runs import start_bill_run, work_bill_run


class Command(BaseCommand):
    """Start a bill run over everything that is due, and work on it until it is done."""

    help = "Bill every period that is due. Safe to run at any time, beside beat and its workers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--at", help="bill what was due at this instant (ISO 8601 with an offset); default: now"
        )

    def handle(self, *_: object, at: str | None, **__: Any) -> None:
        """Run the command."""
        run = start_bill_run(at=_read_instant(at), trigger=BillRunTrigger.COMMAND)
        if run is None:
            self.stdout.write("Nothing is due.")
            return
        work_bill_run(run_id=run.pk, read_now=clock.now, actor=Actor.command("run_billing"))
        items = run.items.all()
        invoice_count = sum(item.invoice_count for item in items)
        parked = [item for item in items if item.status == BillRunItemStatus.PARKED]
        self.stdout.write(f"Run {run.pk}: {len(items)} subscriptions, {invoice_count} invoices made final.")
        for item in parked:
            self.stderr.write(f"Parked: subscription {item.subscription_id}: {item.problem}")
        if parked:
            raise CommandError(f"{len(parked)} subscriptions could not be billed; release them in the admin.")


def _read_instant(text: str | None) -> datetime:
    if text is None:
        return clock.now()
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(
            f"--at takes an ISO 8601 instant such as 2026-03-01T00:00:00Z, not {text!r}."
        ) from error
    if at.tzinfo is None:
        raise CommandError("--at needs an offset or Z, as in 2026-03-01T00:00:00Z.")
    return at
