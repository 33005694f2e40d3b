"""Changes of plan, quantities and prices, pauses and time zones, as they lie in periods and segments."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing_project.core.errors import BillingError
from billing_project.core.models import AuditEntry, OutboxEvent
from catalog.models import Aggregation, BillingCadence, CatalogStatus, Plan, PricingModel
from catalog.operations import MeterDefinition, update_plan, update_sku
from customers.operations import update_customer
from subscriptions.instants import InstantNotAhead, When
from subscriptions.models import Period, PlannedChange, Segment, Subscription, SubscriptionStatus
from subscriptions.operations import (
    Phase,
    PriceOverride,
    SubscriptionChange,
    cancel_subscription,
    change_subscription,
    close_period,
    ensure_periods,
    follow_timezone,
    pause_subscription,
    resume_subscription,
    roll_subscription,
    schedule_phases,
    uncancel_subscription,
    withdraw_change,
)
from subscriptions.operations.changing import InvalidOverride, NothingToChange
from subscriptions.operations.creation import CurrencyNotOffered, PlanArchived, UnknownPlan
from subscriptions.operations.pausing import AlreadyPaused, NotPaused
from subscriptions.operations.planning import ChangeNotPending, SubscriptionEnded
from subscriptions.queries import list_pending_changes
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import TESTER, drain_outbox
from tests.factories.customers import make_customer
from tests.factories.subscriptions import find_breaches, list_bounds, subscribe, utc

pytestmark = pytest.mark.django_db

START = utc(2026, 3, 1)
END = utc(2026, 4, 1)
NEXT_END = utc(2026, 5, 1)
NOW = utc(2026, 3, 11, 9, 30)
MOMENT = timedelta(microseconds=1)


def make_seats(plan: Plan, **terms: Any) -> UUID:
    """Add a licensed SKU to a plan."""
    return make_sku(plan, name="Seats", meter=None, **terms).pk


def begin(**subscription: Any) -> tuple[Subscription, UUID]:
    """Subscribe to five seats from the first of March on."""
    plan = make_plan()
    sku_id = make_seats(plan)
    made = subscribe(plan=plan, quantities={sku_id: Decimal(5)}, at=START, **subscription)
    return made, sku_id


def change(
    subscription: Subscription,
    *,
    at: datetime = NOW,
    when: When | datetime = When.NOW,
    plan: Plan | None = None,
    quantities: Mapping[UUID, int] | None = None,
    **further: Any,
) -> Subscription:
    """Change a subscription, and check that all is as it always is."""
    changed = change_subscription(
        subscription_id=subscription.pk,
        change=SubscriptionChange(
            plan_id=None if plan is None else plan.pk,
            quantities={sku: Decimal(quantity) for sku, quantity in (quantities or {}).items()},
            **further,
        ),
        when=when,
        at=at,
        actor=TESTER,
    )
    assert find_breaches() == []
    return changed


def pause(
    subscription: Subscription, *, at: datetime = NOW, when: When | datetime = When.NOW
) -> Subscription:
    return pause_subscription(subscription_id=subscription.pk, when=when, at=at, actor=TESTER)


def resume(
    subscription: Subscription, *, at: datetime = NOW, when: When | datetime = When.NOW
) -> Subscription:
    return resume_subscription(subscription_id=subscription.pk, when=when, at=at, actor=TESTER)


def withdraw(subscription: Subscription, *, at: datetime = NOW) -> Subscription:
    """Withdraw the only change that is planned."""
    (planned,) = list_pending_changes(subscription.pk)
    withdrawn = withdraw_change(subscription_id=subscription.pk, change_id=planned.pk, at=at, actor=TESTER)
    assert find_breaches() == []
    return withdrawn


def roll(subscription: Subscription, at: datetime) -> Subscription:
    rolled = roll_subscription(subscription_id=subscription.pk, at=at, actor=TESTER)
    assert find_breaches() == []
    return rolled


def list_segments(subscription: Subscription) -> list[tuple[int, datetime, datetime, str, list[str]]]:
    """List the segments: period, bounds, plan and quantities."""
    segments = Segment.objects.filter(subscription=subscription).order_by("period__number", "position")
    return [
        (
            segment.period.number,
            segment.starts_at,
            segment.ends_at,
            segment.plan_version.plan.name,
            list(segment.quantities.values()),
        )
        for segment in segments.select_related("period", "plan_version__plan")
    ]


def read_rows() -> tuple[list[object], ...]:
    """Read all that a change can change."""
    return (
        list(Subscription.objects.values()),
        list(Period.objects.order_by("pk").values()),
        list(Segment.objects.order_by("pk").values()),
        list(PlannedChange.objects.order_by("pk").values()),
        list(OutboxEvent.objects.values_list("position", flat=True)),
    )


def assert_refused(error: type[BillingError], subscription: Subscription, **arguments: Any) -> None:
    rows = read_rows()
    with pytest.raises(error):
        change(subscription, **arguments)
    assert read_rows() == rows


class TestChangeQuantities:
    def test_now_parts_the_period(self) -> None:
        subscription, seats = begin()

        change(subscription, quantities={seats: 8})

        assert list_segments(subscription) == [
            (0, START, NOW, "Pay-As-You-Go", ["5"]),
            (0, NOW, END, "Pay-As-You-Go", ["8"]),
        ]
        assert subscription.items.get().quantity == 8
        entry = AuditEntry.objects.get(action="subscription.changed")
        assert entry.changes == {"quantities": [{str(seats): "5"}, {str(seats): "8"}]}
        assert OutboxEvent.objects.order_by("-position")[0].name == "subscription.updated"

    def test_at_the_periods_end_is_in_the_periods_made_later(self) -> None:
        subscription, seats = begin()

        change(subscription, quantities={seats: 8}, when=When.PERIOD_END)

        assert subscription.items.get().quantity == 5
        assert len(list_segments(subscription)) == 1
        ensure_periods(subscription_ids=[subscription.pk], until=END)
        assert list_segments(subscription)[1:] == [(1, END, NEXT_END, "Pay-As-You-Go", ["8"])]
        assert subscription.items.get().quantity == 5  # No bill run has come by.
        roll(subscription, END)
        assert subscription.items.get().quantity == 8
        assert PlannedChange.objects.get().applied_at == END

    def test_at_an_instant_is_laid_into_what_is_stored_at_once(self) -> None:
        subscription, seats = begin()

        change(subscription, quantities={seats: 8}, when=utc(2026, 3, 20))

        assert list_segments(subscription) == [
            (0, START, utc(2026, 3, 20), "Pay-As-You-Go", ["5"]),
            (0, utc(2026, 3, 20), END, "Pay-As-You-Go", ["8"]),
        ]
        entry = AuditEntry.objects.get(action="subscription.change_planned")
        assert entry.changes["effective_at"] == [None, "2026-03-20T00:00:00Z"]

    def test_at_an_instant_in_a_later_period_parts_that_when_it_is_made(self) -> None:
        subscription, seats = begin()

        change(subscription, quantities={seats: 8}, when=utc(2026, 5, 20))

        roll(subscription, utc(2026, 6, 1))
        assert list_segments(subscription)[1:] == [
            (1, END, NEXT_END, "Pay-As-You-Go", ["5"]),
            (2, NEXT_END, utc(2026, 5, 20), "Pay-As-You-Go", ["5"]),
            (2, utc(2026, 5, 20), utc(2026, 6, 1), "Pay-As-You-Go", ["8"]),
            (3, utc(2026, 6, 1), utc(2026, 7, 1), "Pay-As-You-Go", ["8"]),
        ]

    def test_before_a_planned_one_leaves_that_in_place(self) -> None:
        subscription, seats = begin()
        change(subscription, quantities={seats: 8}, when=utc(2026, 3, 20))
        planned = Segment.objects.get(position=1)

        change(subscription, quantities={seats: 6})

        assert [(*row[1:3], row[4]) for row in list_segments(subscription)] == [
            (START, NOW, ["5"]),
            (NOW, utc(2026, 3, 20), ["6"]),
            (utc(2026, 3, 20), END, ["8"]),
        ]
        assert Segment.objects.get(position=2).pk == planned.pk

    def test_twice_at_the_same_instant_is_one_change(self) -> None:
        subscription, seats = begin()
        change(subscription, quantities={seats: 8})

        change(subscription, quantities={seats: 9})

        assert [row[4] for row in list_segments(subscription)] == [["5"], ["9"]]

    def test_is_refused_where_nothing_changes(self) -> None:
        subscription, seats = begin()

        assert_refused(NothingToChange, subscription, quantities={seats: 5})
        assert_refused(NothingToChange, subscription)

    @pytest.mark.parametrize("when", [NOW - MOMENT, utc(2036, 4, 1)])
    def test_is_refused_out_of_range(self, when: datetime) -> None:
        subscription, seats = begin()

        assert_refused(InstantNotAhead, subscription, quantities={seats: 8}, when=when)

    def test_is_refused_after_the_end(self) -> None:
        subscription, seats = begin()
        cancel_subscription(subscription_id=subscription.pk, when=When.PERIOD_END, at=NOW, actor=TESTER)

        assert_refused(InstantNotAhead, subscription, quantities={seats: 8}, when=When.PERIOD_END)
        assert_refused(SubscriptionEnded, subscription, quantities={seats: 8}, at=END)

    def test_leaves_a_closed_period_as_it_is(self) -> None:
        """The clocks of two servers differ: one has closed what has not ended by the other's."""
        subscription, seats = begin()
        roll(subscription, END)
        close_period(period_id=Period.objects.get(number=0).pk, at=END, actor=TESTER)

        change(subscription, quantities={seats: 8}, at=END - timedelta(milliseconds=5))

        assert [(*row[:1], row[4]) for row in list_segments(subscription)] == [(0, ["5"]), (1, ["8"])]


class TestChangePlan:
    def test_carries_over_what_both_have(self) -> None:
        subscription, seats = begin()
        plan = Plan.objects.get()
        update_sku(sku_id=seats, changes={"name": "Places"}, at=NOW, actor=TESTER)
        rooms = make_sku(plan, name="Rooms", meter=None).pk

        changed = change(subscription, plan=plan)

        assert changed.plan_version.number == 2
        assert changed.plan_version.published_at is not None
        quantities = {item.sku_id: item.quantity for item in subscription.items.all()}
        assert quantities == {seats: 5, rooms: 1}
        assert [row[4] for row in list_segments(subscription)] == [["5"], ["5", "1"]]

    def test_takes_the_version_that_is_named(self) -> None:
        subscription, seats = begin()
        plan = Plan.objects.get()
        for dollars in (2, 3):
            params = {"unit_amount_nanos": str(dollars)}
            update_sku(sku_id=seats, changes={"params": params}, at=NOW, actor=TESTER)
            subscribe(plan=plan)

        assert change(subscription, plan=plan, version_number=2).plan_version.number == 2

    def test_of_another_cadence_ends_the_period_and_begins_others(self) -> None:
        subscription, _ = begin()
        weekly = make_plan(name="Weekly", billing_cadence=BillingCadence.WEEKLY)

        change(subscription, plan=weekly)

        assert list_bounds(subscription) == [(START, NOW), (NOW, utc(2026, 3, 18))]
        period = Period.objects.get(number=0)
        assert (period.nominal_starts_at, period.nominal_ends_at, period.closes_at) == (
            START,
            END,
            NOW + timedelta(hours=1),
        )
        roll(subscription, utc(2026, 3, 18))
        assert list_bounds(subscription)[2] == (utc(2026, 3, 18), utc(2026, 3, 25))

    def test_of_another_cadence_moves_the_periods_made_ahead(self) -> None:
        subscription, _ = begin()
        ensure_periods(subscription_ids=[subscription.pk], until=END)
        weekly = make_plan(name="Weekly", billing_cadence=BillingCadence.WEEKLY)

        change(subscription, plan=weekly)

        assert list_bounds(subscription) == [(START, NOW), (NOW, utc(2026, 3, 18))]
        assert [row[:1] + row[3:4] for row in list_segments(subscription)] == [
            (0, "Pay-As-You-Go"),
            (1, "Weekly"),
            (1, "Pay-As-You-Go"),  # It stays, without length.
        ]

    def test_of_another_cadence_can_be_planned_and_withdrawn(self) -> None:
        subscription, _ = begin()
        ensure_periods(subscription_ids=[subscription.pk], until=utc(2026, 6, 1))
        before = list(Period.objects.order_by("number").values())
        change(
            subscription,
            plan=make_plan(name="Daily", billing_cadence=BillingCadence.DAILY),
            when=utc(2026, 3, 20),
        )
        assert list_bounds(subscription)[:3] == [
            (START, utc(2026, 3, 20)),
            (utc(2026, 3, 20), utc(2026, 3, 21)),
            (utc(2026, 3, 21), utc(2026, 3, 22)),
        ]

        withdraw(subscription)

        assert list(Period.objects.order_by("number").values()) == before
        subscription.refresh_from_db()
        assert len(subscription.epochs) == 1

    def test_fills_the_time_up_to_a_planned_end(self) -> None:
        subscription, _ = begin()
        cancel_subscription(subscription_id=subscription.pk, when=When.PERIOD_END, at=NOW, actor=TESTER)
        weekly = make_plan(name="Weekly", billing_cadence=BillingCadence.WEEKLY)

        change(subscription, plan=weekly)

        assert list_bounds(subscription) == [
            (START, NOW),
            (NOW, utc(2026, 3, 18)),
            (utc(2026, 3, 18), utc(2026, 3, 25)),
            (utc(2026, 3, 25), END),
        ]
        uncancel_subscription(subscription_id=subscription.pk, at=NOW, actor=TESTER)
        assert list_bounds(subscription)[-1] == (utc(2026, 3, 25), utc(2026, 4, 1))
        assert find_breaches() == []

    def test_in_a_trial_begins_the_other_periods_with_its_end(self) -> None:
        subscription, _ = begin(trial_days=14)
        weekly = make_plan(name="Weekly", billing_cadence=BillingCadence.WEEKLY)

        changed = change(subscription, plan=weekly)

        assert changed.status == SubscriptionStatus.TRIALING
        assert list_bounds(subscription) == [(START, utc(2026, 3, 15))]
        roll(subscription, utc(2026, 3, 15))
        assert list_bounds(subscription)[1] == (utc(2026, 3, 15), utc(2026, 3, 22))

    def test_before_the_start_changes_it_from_the_start_on(self) -> None:
        subscription, _ = begin(start_at=utc(2026, 6, 1))
        weekly = make_plan(name="Weekly", billing_cadence=BillingCadence.WEEKLY)

        changed = change(subscription, plan=weekly)

        assert changed.plan_version.plan == weekly
        assert list_bounds(subscription) == [(utc(2026, 6, 1), utc(2026, 6, 8))]

    def test_is_refused_for_a_plan_that_cannot_be_had(self) -> None:
        subscription, _ = begin()
        archived, foreign = make_plan(), make_plan()
        update_plan(plan_id=archived.pk, changes={"status": CatalogStatus.ARCHIVED}, at=NOW, actor=TESTER)
        make_seats(foreign, currency="EUR")

        assert_refused(PlanArchived, subscription, plan=archived)
        assert_refused(CurrencyNotOffered, subscription, plan=foreign)
        assert_refused(UnknownPlan, subscription, plan=foreign, version_number=7)


class TestOverride:
    def test_is_kept_on_the_segment(self) -> None:
        subscription, seats = begin()
        price = PriceOverride(pricing_model=PricingModel.PER_UNIT, params={"unit_amount_nanos": "7"})

        change(subscription, overrides={seats: price})

        item = subscription.items.get()
        assert Segment.objects.get(position=1).overrides == {
            str(item.pk): {"pricing_model": "PerUnit", "params": {"unit_amount_nanos": "7"}}
        }
        change(subscription, overrides={seats: None}, at=utc(2026, 3, 20))
        assert Segment.objects.get(position=2).overrides == {}

    @pytest.mark.parametrize(
        "params", [{"unit_amount_nanos": "-7"}, {}, {"unit_amount_nanos": "7", "x": "1"}]
    )
    def test_is_refused_if_it_is_no_price(self, params: Mapping[str, object]) -> None:
        subscription, seats = begin()
        price = PriceOverride(pricing_model=PricingModel.PER_UNIT, params=params)

        assert_refused(InvalidOverride, subscription, overrides={seats: price})

    @pytest.mark.parametrize(
        ("aggregation", "group_by"), [(Aggregation.SUM, []), (Aggregation.MAX, ["model"])]
    )
    def test_tells_apart_only_what_the_meter_adds_up_by(
        self, aggregation: Aggregation, group_by: list[str]
    ) -> None:
        plan = make_plan()
        meter = MeterDefinition.read(
            event_type="llm.completion", property="tokens", aggregation=aggregation, group_by=group_by
        )
        sku = make_sku(plan, meter=meter, meter_code="tokens")
        subscription = subscribe(plan=plan, at=START)
        params = {
            "dimensions": ["model"],
            "cells": [{"values": ["large"], "unit_amount_nanos": "9"}],
            "default_unit_amount_nanos": "7",
        }
        price = PriceOverride(pricing_model=PricingModel.MATRIX, params=params)

        with pytest.raises(InvalidOverride) as refusal:
            change(subscription, overrides={sku.pk: price})

        (fault,) = refusal.value.errors
        assert fault.code == "dimension_not_grouped"


class TestSchedulePhases:
    def test_plans_each(self) -> None:
        subscription, seats = begin()
        phases = [
            Phase(
                starts_at=utc(2026, month, 1), change=SubscriptionChange(quantities={seats: Decimal(count)})
            )
            for month, count in ((4, 10), (5, 20))
        ]

        schedule_phases(subscription_id=subscription.pk, phases=phases, at=NOW, actor=TESTER)

        roll(subscription, utc(2026, 6, 15))  # A bill run that comes late.
        assert [row[4] for row in list_segments(subscription)] == [["5"], ["10"], ["20"], ["20"]]
        assert subscription.items.get().quantity == 20


class TestWithdraw:
    def test_gives_the_segments_back(self) -> None:
        subscription, seats = begin()
        change(subscription, quantities={seats: 8}, when=utc(2026, 3, 20))

        withdraw(subscription)

        assert list_segments(subscription) == [
            (0, START, END, "Pay-As-You-Go", ["5"]),
            (0, END, END, "Pay-As-You-Go", ["8"]),  # Without length, it keeps what it was.
        ]

    def test_lets_a_segment_come_to_life_again(self) -> None:
        subscription, seats = begin()
        for day in (20, 21, 22):
            change(subscription, quantities={seats: 8}, when=utc(2026, 3, day))
            withdraw(subscription)

        assert Segment.objects.count() == 2

    def test_is_refused_once_the_change_has_come(self) -> None:
        subscription, seats = begin()
        change(subscription, quantities={seats: 8}, when=utc(2026, 3, 20))
        planned = PlannedChange.objects.get()

        with pytest.raises(ChangeNotPending):
            withdraw_change(
                subscription_id=subscription.pk, change_id=planned.pk, at=utc(2026, 3, 20), actor=TESTER
            )


class TestPauseAndResume:
    def test_pauses_and_resumes(self) -> None:
        subscription, _ = begin()

        assert pause(subscription).status == SubscriptionStatus.PAUSED
        assert resume(subscription, at=utc(2026, 3, 20)).status == SubscriptionStatus.ACTIVE

        paused = Segment.objects.order_by("position").values_list("starts_at", "is_paused")
        assert list(paused) == [(START, False), (NOW, True), (utc(2026, 3, 20), False)]
        names = OutboxEvent.objects.order_by("-position").values_list("name", flat=True)[:2]
        assert list(names) == ["subscription.resumed", "subscription.paused"]
        assert find_breaches() == []

    def test_can_be_planned(self) -> None:
        subscription, _ = begin()
        pause(subscription, when=When.PERIOD_END)
        resume(subscription, when=NEXT_END)

        assert roll(subscription, END).status == SubscriptionStatus.PAUSED
        assert roll(subscription, NEXT_END).status == SubscriptionStatus.ACTIVE
        paused = Segment.objects.order_by("starts_at").values_list("is_paused", flat=True)
        assert list(paused) == [False, True, False]

    def test_lets_a_trial_go_on(self) -> None:
        subscription, _ = begin(trial_days=14)
        pause(subscription, at=utc(2026, 3, 3))

        assert resume(subscription, at=utc(2026, 3, 5)).status == SubscriptionStatus.TRIALING
        assert roll(subscription, utc(2026, 3, 15)).status == SubscriptionStatus.ACTIVE

    def test_happens_once(self) -> None:
        subscription, _ = begin()
        with pytest.raises(NotPaused):
            resume(subscription)
        pause(subscription, when=utc(2026, 3, 20))
        with pytest.raises(AlreadyPaused):
            pause(subscription, when=utc(2026, 3, 21))

    def test_is_over_with_a_cancellation(self) -> None:
        subscription, _ = begin()
        pause(subscription)
        resume(subscription, when=utc(2026, 3, 20))

        cancelled = cancel_subscription(
            subscription_id=subscription.pk, when=When.NOW, at=utc(2026, 3, 15), actor=TESTER
        )

        assert cancelled.status == SubscriptionStatus.CANCELLED
        assert list_pending_changes(subscription.pk) == []
        assert roll(subscription, utc(2026, 3, 25)).status == SubscriptionStatus.CANCELLED


class TestFollowTimezone:
    def move(self, subscription: Subscription, timezone: str) -> None:
        update_customer(
            customer_id=subscription.customer_id, changes={"timezone": timezone}, at=NOW, actor=TESTER
        )

    def test_moves_the_next_period(self) -> None:
        subscription, _ = begin()
        self.move(subscription, "Asia/Kolkata")

        follow_timezone(subscription_id=subscription.pk, at=NOW, actor=TESTER)
        follow_timezone(subscription_id=subscription.pk, at=NOW, actor=TESTER)

        assert PlannedChange.objects.count() == 1
        roll(subscription, NEXT_END)
        assert list_bounds(subscription) == [
            (START, END),
            (END, utc(2026, 4, 30, 18, 30)),
            (utc(2026, 4, 30, 18, 30), utc(2026, 5, 31, 18, 30)),
        ]
        subscription.refresh_from_db()
        assert subscription.timezone == "Asia/Kolkata"
        zones = Period.objects.order_by("number").values_list("timezone", flat=True)
        assert list(zones) == ["UTC", "Asia/Kolkata", "Asia/Kolkata"]

    def test_waits_for_a_period_that_can_have_no_events_yet(self) -> None:
        subscription, _ = begin()
        self.move(subscription, "Asia/Kolkata")

        follow_timezone(subscription_id=subscription.pk, at=END - timedelta(minutes=30), actor=TESTER)

        assert PlannedChange.objects.get().effective_at == NEXT_END

    def test_is_taken_back_by_a_move_back(self) -> None:
        subscription, _ = begin()
        for timezone in ("Asia/Kolkata", "UTC"):
            self.move(subscription, timezone)
            follow_timezone(subscription_id=subscription.pk, at=NOW, actor=TESTER)

        assert list_pending_changes(subscription.pk) == []
        subscription.refresh_from_db()
        assert len(subscription.epochs) == 1

    def test_follows_the_customer_by_itself(self) -> None:
        customer = make_customer()
        subscription = subscribe(customer=customer)
        drain_outbox()

        update_customer(customer_id=customer.pk, changes={"timezone": "Asia/Kolkata"}, at=NOW, actor=TESTER)
        drain_outbox()

        assert [change.timezone for change in list_pending_changes(subscription.pk)] == ["Asia/Kolkata"]
