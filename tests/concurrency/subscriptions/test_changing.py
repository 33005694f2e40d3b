"""Changes against ingest, against closing, and against each other; each with a control without its guard."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction

from subscriptions.locks import lock_slots_exclusive, lock_slots_shared
from subscriptions.models import Period, PlannedChange, Segment, Subscription
from subscriptions.operations import (
    SubscriptionChange,
    When,
    change_subscription,
    ensure_periods,
    roll_subscription,
    withdraw_change,
)
from subscriptions.operations.planning import ChangeNotPending
from tests.concurrency.racing import Meeting, errors_of, race
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db(transaction=True)

END = utc(2026, 3, 28)
LATE = END - timedelta(minutes=10)

Patches = pytest.MonkeyPatch


def begin() -> tuple[Subscription, UUID]:
    """Subscribe to five seats."""
    plan = make_plan()
    sku_id = make_sku(plan, name="Seats", meter=None).pk
    return subscribe(plan=plan, quantities={sku_id: Decimal(5)}), sku_id


def change(
    subscription: Subscription, sku_id: UUID, seats: int, *, at: datetime, when: When | datetime = When.NOW
) -> Subscription:
    """Change how many seats there are."""
    return change_subscription(
        subscription_id=subscription.pk,
        change=SubscriptionChange(quantities={sku_id: Decimal(seats)}),
        when=when,
        at=at,
        actor=TESTER,
    )


def list_quantities() -> list[str]:
    """List what is licensed in each segment that has a length, in order of time."""
    segments = [each for each in Segment.objects.order_by("starts_at") if each.starts_at < each.ends_at]
    return [next(iter(segment.quantities.values())) for segment in segments]


class TestAgainstNewPeriods:
    def race(self) -> None:
        """Plan a change for the next period, while ingest makes that because of an early event."""
        subscription, sku_id = begin()
        meeting = Meeting()

        def make_next() -> None:
            with transaction.atomic():
                lock_slots_shared([subscription.pk])
                ensure_periods(subscription_ids=[subscription.pk], until=END)
                meeting.stop_inside()

        def plan() -> None:
            with meeting.entering_second():
                change(subscription, sku_id, 8, at=LATE, when=When.PERIOD_END)

        assert race(make_next, plan) == [None, None]

    def test_is_in_the_period_that_was_being_made(self) -> None:
        self.race()

        assert list_quantities() == ["5", "8"]
        assert find_breaches() == []

    def test_would_be_missing_there_without_the_slot(self, monkeypatch: Patches) -> None:
        monkeypatch.setattr("subscriptions.operations.planning.lock_slots_exclusive", lambda _: None)

        self.race()

        assert list_quantities() == ["5", "5"]
        assert len(find_breaches()) == 1


class TestAgainstUsage:
    def race(self) -> list[object]:
        """Part a period while usage is on its way into it; tell which segments the usage saw, twice."""
        subscription, sku_id = begin()
        meeting = Meeting()

        def put_in() -> tuple[int, int]:
            with transaction.atomic():
                lock_slots_shared([subscription.pk])
                before = Segment.objects.count()
                meeting.stop_inside()
                return before, Segment.objects.count()

        def part() -> None:
            with meeting.entering_second():
                change(subscription, sku_id, 8, at=utc(2026, 3, 10))

        return race(put_in, part)

    def test_waits_for_usage_that_is_on_its_way_in(self) -> None:
        assert self.race() == [(1, 1), None]
        assert Segment.objects.count() == 2

    def test_would_not_wait_without_the_slot(self, monkeypatch: Patches) -> None:
        monkeypatch.setattr("subscriptions.operations.planning.lock_slots_exclusive", lambda _: None)

        assert self.race() == [(1, 2), None]


class TestAgainstClosing:
    def race(self) -> object:
        """Change shortly before the end by one server's clock, while another's closes the period."""
        subscription, sku_id = begin()
        roll_subscription(subscription_id=subscription.pk, at=END, actor=TESTER)
        meeting = Meeting()

        def close() -> None:
            with transaction.atomic():
                lock_slots_exclusive([subscription.pk])
                Period.objects.filter(number=0).update(closed_at=END)
                meeting.stop_inside()

        def part() -> None:
            with meeting.entering_second():
                change(subscription, sku_id, 8, at=LATE)

        closing, changing = race(close, part)
        assert closing is None
        return changing

    def test_leaves_the_closed_period_and_begins_with_the_next(self) -> None:
        assert self.race() is None

        assert list_quantities() == ["5", "8"]
        assert PlannedChange.objects.get().effective_at == END
        assert find_breaches() == []

    def test_would_not_find_its_segment_without_the_slot(self, monkeypatch: Patches) -> None:
        monkeypatch.setattr("subscriptions.operations.planning.lock_slots_exclusive", lambda _: None)

        self.race()

        changes = PlannedChange.objects.all()
        assert [each.effective_at for each in changes] != [END]


class TestAgainstEachOther:
    def test_come_one_after_the_other(self) -> None:
        subscription, sku_id = begin()
        instants = [NOON + timedelta(days=days) for days in range(1, 7)]

        outcomes = race(
            *[
                lambda at=at, seats=seats: change(subscription, sku_id, seats, at=at)
                for seats, at in enumerate(instants, start=10)
            ]
        )

        # One that comes with an earlier time than another has had is a change for a time that has gone.
        assert Segment.objects.count() >= 2
        assert all(not isinstance(error, IntegrityError) for error in errors_of(outcomes))
        assert find_breaches() == []

    def race_twice(self) -> list[object]:
        """Two changes at the same time: the second comes while the first has not been committed."""
        subscription, sku_id = begin()
        meeting = Meeting()
        at = utc(2026, 3, 10)

        def first() -> None:
            with transaction.atomic():
                change(subscription, sku_id, 8, at=at)
                meeting.stop_inside()

        def second() -> None:
            with meeting.entering_second():
                change(subscription, sku_id, 9, at=at + timedelta(hours=1))

        return race(first, second)

    def test_see_each_other(self) -> None:
        assert self.race_twice() == [None, None]

        assert list_quantities() == ["5", "8", "9"]
        assert find_breaches() == []

    def test_would_collide_without_their_locks(self, monkeypatch: Patches) -> None:
        monkeypatch.setattr("subscriptions.operations.planning.lock_slots_exclusive", lambda _: None)
        monkeypatch.setattr(
            "subscriptions.operations.planning.lock_subscription",
            lambda subscription_id: Subscription.objects.select_related("plan_version").get(
                pk=subscription_id
            ),
        )

        monkeypatch.setattr(
            "subscriptions.operations.laying.lock_periods",
            lambda subscription_id, where: list(
                Period.objects.filter(where, subscription_id=subscription_id).order_by("number")
            ),
        )

        first, second = self.race_twice()

        assert first is None
        assert isinstance(second, IntegrityError)  # Both made a second segment.

    def test_withdraw_what_has_not_come_once(self) -> None:
        subscription, sku_id = begin()
        change(subscription, sku_id, 8, at=NOON, when=When.PERIOD_END)
        change_id = PlannedChange.objects.get().pk

        outcomes = race(
            *[
                lambda: withdraw_change(
                    subscription_id=subscription.pk, change_id=change_id, at=NOON, actor=TESTER
                )
            ]
            * 4
        )

        assert [type(error) for error in errors_of(outcomes)] == [ChangeNotPending] * 3
        assert find_breaches() == []
