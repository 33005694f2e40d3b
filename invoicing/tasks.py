"""Celery tasks of invoicing: thin, keyword-only, safe to run twice."""

from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings

from billing_project.core import clock
from billing_project.core.actors import Actor
from customers.models import ClockStatus
from customers.queries import find_advancing_clock_ids
from invoicing.models import BillRunTrigger
from invoicing.runs.bill_runs import find_workable_run_ids, start_bill_run, work_bill_run
from invoicing.runs.clocks import drive_clock

BILL_RUN = Actor.system("bill-run")
TEST_CLOCK = Actor.system("test-clock")
CLOCK_RETRY_SECONDS = 2


@shared_task
def bill_due_periods(**_: Any) -> None:
    """Start a bill run over what is due in real time, and put workers on every run that has items to take."""
    start_bill_run(at=clock.now(), trigger=BillRunTrigger.BEAT)
    for run_id in find_workable_run_ids(now=clock.now()):
        for _worker in range(settings.BILLING_RUN_WORKERS):
            work_on_bill_run.delay(run_id=str(run_id))


@shared_task
def work_on_bill_run(*, run_id: str, **_: Any) -> None:
    """Do items of a bill run until none is left to take."""
    work_bill_run(run_id=UUID(run_id), read_now=clock.now, actor=BILL_RUN)


@shared_task
def advance_test_clock(*, test_clock_id: str, **_: Any) -> None:
    """Take a test clock to its target; try again shortly where another worker holds what is due."""
    test_clock = drive_clock(test_clock_id=UUID(test_clock_id), read_now=clock.now, actor=TEST_CLOCK)
    if test_clock.status == ClockStatus.ADVANCING:
        advance_test_clock.apply_async(kwargs={"test_clock_id": test_clock_id}, countdown=CLOCK_RETRY_SECONDS)


@shared_task
def resume_test_clocks(**_: Any) -> None:
    """Drive every advancing clock, in case the worker it had died."""
    for test_clock_id in find_advancing_clock_ids():
        drive_clock(test_clock_id=test_clock_id, read_now=clock.now, actor=TEST_CLOCK)
