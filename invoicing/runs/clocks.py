"""Advancing a test clock: time passes for its customers, and what is due on the way is done, in order."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from billing_project.core.dispatch import send_on_commit
from customers.models import ClockStatus, TestClock
from customers.operations import begin_clock_advance, finish_clock_advance, move_clock
from customers.queries import get_test_clock
from invoicing.models import BillRunTrigger
from invoicing.runs.bill_runs import find_workable_run_ids, start_bill_run, work_bill_run
from invoicing.runs.due import find_next_due_at

DRIVE_TASK = "invoicing.tasks.advance_test_clock"
STOP_LIMIT = 20_000


@transaction.atomic
def advance_clock(*, test_clock_id: UUID, to: datetime, at: datetime, actor: Actor) -> TestClock:
    """Set a clock on its way, and have a worker drive it. Without a broker it waits for beat to do so.

    Raises: as `begin_clock_advance`.
    Locks: test clock.
    """
    clock = begin_clock_advance(test_clock_id=test_clock_id, to=to, at=at, actor=actor)
    send_on_commit(DRIVE_TASK, test_clock_id=str(clock.pk))
    return clock


def drive_clock(*, test_clock_id: UUID, read_now: Callable[[], datetime], actor: Actor) -> TestClock:
    """Take an advancing clock to its target, stopping at each due instant to bill what is due then.

    Safe to run again after a crash, and on two workers: the clock only moves forward, and a subscription is
    in one unfinished item at a time; a worker that finds the due ones in another's hands leaves the clock to
    it.
    """
    for _ in range(STOP_LIMIT):
        clock = get_test_clock(test_clock_id)
        if clock.status != ClockStatus.ADVANCING or clock.target_at is None:
            return clock
        due_at = find_next_due_at(test_clock_id=test_clock_id)
        if due_at is None or due_at > clock.target_at:
            return finish_clock_advance(
                test_clock_id=test_clock_id, target_at=clock.target_at, at=read_now(), actor=actor
            )
        stop_at = max(due_at, clock.now_at)
        move_clock(test_clock_id=test_clock_id, to=stop_at, at=read_now(), actor=actor)
        start_bill_run(at=stop_at, trigger=BillRunTrigger.CLOCK, test_clock_id=test_clock_id)
        # Not only the run just made: what is due may be in one that began with the subscription itself.
        run_ids = find_workable_run_ids(now=read_now(), test_clock_id=test_clock_id)
        done_count = sum(work_bill_run(run_id=run_id, read_now=read_now, actor=actor) for run_id in run_ids)
        if done_count == 0:
            return clock
    return get_test_clock(test_clock_id)
