"""Closing, cancelling and putting usage into a period, all at once.

Each race is arranged so that it happens every time: one side stops in the middle until the other waits for
it, or has gone past it. Where a slot is what keeps them apart, a control shows what happens without it.
"""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction

from billing_project.core.contention import is_contention
from billing_project.core.models import AuditEntry
from subscriptions.locks import SLOT_SPACE, lock_slots_exclusive, lock_slots_shared, slot_of
from subscriptions.models import Period, Subscription
from subscriptions.operations import (
    When,
    cancel_subscription,
    close_period,
    ensure_periods,
    uncancel_subscription,
)
from tests.concurrency.racing import PATIENCE_SECONDS, Meeting, errors_of, race
from tests.factories.catalog import make_plan
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.subscriptions import find_breaches, list_bounds, subscribe, utc

pytestmark = pytest.mark.django_db(transaction=True)

END = utc(2026, 3, 28)
CLOSED = END + timedelta(hours=1)

Patches = pytest.MonkeyPatch


def leave_out(patches: Patches, module: str, function: str) -> None:
    """Take a guard away."""
    patches.setattr(f"subscriptions.operations.{module}.{function}", lambda _: None)


class TestClosingAgainstUsage:
    """Usage is put in under the slot, shared; here that is a look at the period, at the start and the end."""

    def race(self, subscription: Subscription) -> tuple[bool, bool]:
        """Close a period while somebody is putting usage into it; tell whether they saw it open, twice."""
        period = Period.objects.get()
        meeting = Meeting()

        def put_in() -> tuple[bool, bool]:
            with transaction.atomic():
                lock_slots_shared([subscription.pk])
                was_open = Period.objects.get(pk=period.pk).is_open
                meeting.stop_inside()
                return was_open, Period.objects.get(pk=period.pk).is_open

        def close() -> None:
            with meeting.entering_second():
                close_period(period_id=period.pk, at=CLOSED, actor=TESTER)

        seen, closing = race(put_in, close)
        assert closing is None
        assert Period.objects.get().closed_at == CLOSED
        assert isinstance(seen, tuple)
        return seen

    def test_waits_for_usage_that_is_on_its_way_in(self) -> None:
        assert self.race(subscribe()) == (True, True)

    def test_would_not_wait_without_the_slot(self, monkeypatch: Patches) -> None:
        leave_out(monkeypatch, "settling", "lock_slots_exclusive")

        assert self.race(subscribe()) == (True, False)

    def test_shows_the_period_as_closed_to_whoever_comes_later(self) -> None:
        subscription = subscribe()
        meeting = Meeting()

        def close() -> None:
            with transaction.atomic():
                lock_slots_exclusive([subscription.pk])
                Period.objects.update(closed_at=CLOSED)
                meeting.stop_inside()

        def put_in() -> bool:
            with meeting.entering_second(), transaction.atomic():
                lock_slots_shared([subscription.pk])
                return Period.objects.get().is_open

        assert race(close, put_in) == [None, False]

    def test_lets_usage_in_from_many_sides(self) -> None:
        subscription = subscribe()
        barrier = threading.Barrier(4)

        def put_in() -> None:
            with transaction.atomic():
                lock_slots_shared([subscription.pk])
                barrier.wait(PATIENCE_SECONDS)  # All four are inside at once.

        assert race(*[put_in] * 4) == [None] * 4


class TestClosingTwice:
    def test_sets_one_instant(self) -> None:
        subscribe()
        period_id = Period.objects.get().pk

        def close_at(minutes: int) -> Callable[[], Period]:
            at = CLOSED + timedelta(minutes=minutes)
            return lambda: close_period(period_id=period_id, at=at, actor=TESTER)

        outcomes = race(*[close_at(minutes) for minutes in range(8)])

        assert errors_of(outcomes) == []
        assert {period.closed_at for period in outcomes} == {Period.objects.get().closed_at}
        assert AuditEntry.objects.filter(action="period.closed").count() == 1


class TestCancellingAgainstNewPeriods:
    def race(self, when: When) -> Subscription:
        """Cancel while ingest, which got an event a little early, is making the next period."""
        subscription = subscribe()
        meeting = Meeting()

        def make_next() -> None:
            with transaction.atomic():
                lock_slots_shared([subscription.pk])
                ensure_periods(subscription_ids=[subscription.pk], until=END)
                meeting.stop_inside()

        def cancel() -> None:
            with meeting.entering_second():
                at = END - timedelta(minutes=10)
                cancel_subscription(subscription_id=subscription.pk, when=when, at=at, actor=TESTER)

        assert race(make_next, cancel) == [None, None]
        assert Period.objects.count() == 2
        return subscription

    def test_leaves_the_new_period_without_length(self) -> None:
        at = END - timedelta(minutes=10)

        subscription = self.race(When.NOW)

        assert list_bounds(subscription) == [(NOON, at), (at, at)]
        assert find_breaches() == []

    def test_leaves_it_so_after_the_period_s_end_too(self) -> None:
        subscription = self.race(When.PERIOD_END)

        assert list_bounds(subscription) == [(NOON, END), (END, END)]
        assert find_breaches() == []

    def test_would_leave_a_gap_without_the_slot(self, monkeypatch: Patches) -> None:
        leave_out(monkeypatch, "planning", "lock_slots_exclusive")

        self.race(When.NOW)

        # The periods do not tile, the last one is not the end, and it is not as scheduled.
        assert len(find_breaches()) == 3

    def test_makes_no_period_once_the_end_is_set(self) -> None:
        subscription = subscribe()
        meeting = Meeting()

        def cancel() -> None:
            with transaction.atomic():
                cancel_subscription(
                    subscription_id=subscription.pk, when=When.NOW, at=utc(2026, 3, 5), actor=TESTER
                )
                meeting.stop_inside()

        def make_next() -> None:
            with meeting.entering_second(), transaction.atomic():
                lock_slots_shared([subscription.pk])
                ensure_periods(subscription_ids=[subscription.pk], until=utc(2026, 8, 1))

        assert race(cancel, make_next) == [None, None]
        assert list_bounds(subscription) == [(NOON, utc(2026, 3, 5))]
        assert find_breaches() == []


class TestMakingTheSamePeriods:
    def test_goes_through_subscriptions_in_an_order_that_cannot_deadlock(self) -> None:
        plan, customer = make_plan(), make_customer()
        low, high = sorted(subscribe(plan=plan, customer=customer).pk for _ in range(2))
        meeting = Meeting()

        def make_one_by_one() -> None:
            with transaction.atomic():
                lock_slots_shared([low, high])
                ensure_periods(subscription_ids=[low], until=END)
                meeting.stop_inside()
                ensure_periods(subscription_ids=[high], until=END)

        def make_both() -> None:
            with meeting.entering_second(), transaction.atomic():
                lock_slots_shared([low, high])
                ensure_periods(subscription_ids=[high, low], until=END)

        assert race(make_one_by_one, make_both) == [None, None]
        assert Period.objects.count() == 4
        assert find_breaches() == []


class TestTakingAnEndBackAgainstNewPeriods:
    def test_leaves_them_tiled(self) -> None:
        subscription = subscribe()
        ensure_periods(subscription_ids=[subscription.pk], until=END)
        cancel_subscription(subscription_id=subscription.pk, when=When.PERIOD_END, at=NOON, actor=TESTER)

        def uncancel() -> None:
            uncancel_subscription(subscription_id=subscription.pk, at=NOON, actor=TESTER)

        def make_next() -> None:
            with transaction.atomic():
                lock_slots_shared([subscription.pk])
                ensure_periods(subscription_ids=[subscription.pk], until=utc(2026, 5, 1))

        assert race(uncancel, *[make_next] * 3) == [None] * 4
        make_next()
        assert list_bounds(subscription) == [
            (NOON, END),
            (END, utc(2026, 4, 28)),
            (utc(2026, 4, 28), utc(2026, 5, 28)),
        ]
        assert find_breaches() == []


class TestLockSlots:
    def test_takes_them_in_an_order_that_cannot_deadlock(self) -> None:
        plan, customer = make_plan(), make_customer()
        ids = [subscribe(plan=plan, customer=customer).pk for _ in range(8)]
        assert len({slot_of(each) for each in ids}) > 1

        def lock(order: list[UUID]) -> None:
            for _ in range(50):
                with transaction.atomic():
                    lock_slots_exclusive(order)

        assert race(lambda: lock(ids), lambda: lock(ids[::-1]), lambda: lock(ids[4:] + ids[:4])) == [None] * 3

    def test_takes_each_slot_once_and_gives_it_back_at_the_end(self) -> None:
        subscription = subscribe()

        def read_slots() -> list[tuple[int, int, str]]:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT classid::int, objid::int, mode FROM pg_locks"
                    " WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                )
                return list(cursor.fetchall())

        with transaction.atomic():
            lock_slots_shared([subscription.pk] * 3)
            assert read_slots() == [(SLOT_SPACE, slot_of(subscription.pk), "ShareLock")]
        assert read_slots() == []
        with transaction.atomic():
            lock_slots_exclusive([subscription.pk])
            assert read_slots() == [(SLOT_SPACE, slot_of(subscription.pk), "ExclusiveLock")]

    def test_takes_none_for_nothing(self) -> None:
        with transaction.atomic():
            lock_slots_shared([])
            lock_slots_exclusive([])

    def test_gives_up_when_it_would_wait_too_long(self) -> None:
        subscription = subscribe()
        meeting = Meeting()
        has_given_up = threading.Event()

        def hold() -> None:
            with transaction.atomic():
                lock_slots_shared([subscription.pk])
                meeting.is_first_inside.set()
                assert has_given_up.wait(PATIENCE_SECONDS)

        def close() -> None:
            with meeting.entering_second(), transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = '50ms'")
                try:
                    lock_slots_exclusive([subscription.pk])
                finally:
                    has_given_up.set()

        outcome = race(hold, close)[1]

        assert isinstance(outcome, OperationalError)
        assert is_contention(outcome)

    def test_needs_a_transaction(self) -> None:
        with pytest.raises(AssertionError, match="transaction"):
            lock_slots_shared([subscribe().pk])
