"""Taking events back, against whatever else happens to the same usage at the same moment.

Where it matters who comes first, one side stops in the middle until the other waits for it, or has gone past
it; and where a lock is what keeps them apart, a control shows what happens without it.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from billing_project.core.errors import Busy
from catalog.models import Aggregation, BillingCadence
from catalog.operations import MeterDefinition
from metering.models import EventVoid, LateUsage, UsageCorrection
from metering.operations import corrections, match_unmatched_events
from metering.operations.corrections import EventAlreadyVoided, NothingToVoid
from subscriptions.models import Period, Subscription
from subscriptions.operations import When, cancel_subscription
from tests.concurrency.racing import Meeting, errors_of, race
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.corrections import amend, void, void_all
from tests.factories.customers import make_customer
from tests.factories.metering import (
    EVENT_TYPE,
    INPUT,
    close,
    get_stored,
    ingest,
    make_metered_plan,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
Patches = pytest.MonkeyPatch
Event = dict[str, Any]


def stop_before(patches: Patches, module: Any, name: str, meeting: Meeting) -> None:
    """Have the first that comes to a function stop before it, until the second waits for it or is done."""
    original: Callable[..., Any] = getattr(module, name)

    def stop(*arguments: Any, **options: Any) -> Any:
        if not meeting.is_first_inside.is_set():
            meeting.stop_inside()
        return original(*arguments, **options)

    patches.setattr(module, name, stop)


def stop_after(patches: Patches, module: Any, name: str, meeting: Meeting) -> None:
    """Have the first that comes to a function stop after it, until the second waits for it or is done."""
    original: Callable[..., Any] = getattr(module, name)

    def stop(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        if not meeting.is_first_inside.is_set():
            meeting.stop_inside()
        return result

    patches.setattr(module, name, stop)


def take_locks_away(patches: Patches) -> None:
    patches.setattr(corrections, "lock_slots_exclusive", lambda _: None)


class TestTwoVoids:
    def test_of_one_event_take_it_back_once(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event, write_event(subscription))

        outcomes = race(*[partial(void, event)] * 8)

        assert [type(error) for error in errors_of(outcomes)] == [EventAlreadyVoided] * 7
        assert read_totals(subscription)[INPUT] == 10
        assert (UsageCorrection.objects.count(), EventVoid.objects.count()) == (1, 1)
        assert find_breaches() == []

    def race(self, patches: Patches) -> list[type[BaseException]]:
        """Take an event back twice, the second time after the first has looked at it."""
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)
        meeting = Meeting()
        stop_before(patches, corrections, "undo_events", meeting)

        def void_second() -> UsageCorrection:
            with meeting.entering_second():
                return void(event)

        return [type(error) for error in errors_of(race(partial(void, event), void_second))]

    def test_tell_the_second_that_it_is_done(self, monkeypatch: Patches) -> None:
        assert self.race(monkeypatch) == [EventAlreadyVoided]

    def test_would_not_without_the_slot(self, monkeypatch: Patches) -> None:
        take_locks_away(monkeypatch)

        (error,) = self.race(monkeypatch)

        assert error is not EventAlreadyVoided  # The database alone keeps the second row out.

    def test_of_sets_that_overlap_take_each_event_back_once(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        events = [write_event(subscription) for _ in range(30)]
        ingest(*events)

        outcomes = race(
            *[partial(void, event) for event in events[:3]],
            *[partial(void_all, subscription, event_type=EVENT_TYPE)] * 3,
        )

        assert {type(error) for error in errors_of(outcomes)} <= {EventAlreadyVoided, NothingToVoid}
        assert EventVoid.objects.count() == 30
        assert sum(correction.event_count for correction in UsageCorrection.objects.all()) == 30
        assert read_totals(subscription).get(INPUT, 0) == 0
        assert find_breaches() == []


class TestAgainstIngest:
    def race(self, patches: Patches, *, plan: Any) -> Subscription:
        """Ingest for the same customer while an event is being taken back: after it was read what is there."""
        subscription = subscribe(plan=plan)
        gone, kept = write_event(subscription), write_event(subscription)
        ingest(gone)
        meeting = Meeting()
        stop_after(patches, corrections, "undo_events", meeting)

        def send() -> None:
            with meeting.entering_second():
                ingest(kept)

        assert errors_of(race(partial(void, gone), send)) == []
        return subscription

    def test_nothing_that_comes_meanwhile_is_lost(self, monkeypatch: Patches) -> None:
        subscription = self.race(monkeypatch, plan=make_metered_plan())

        assert read_totals(subscription)[INPUT] == 10
        assert find_breaches() == []

    def test_nothing_is_counted_twice_where_hours_count_anew(self, monkeypatch: Patches) -> None:
        plan = make_plan()
        definition = MeterDefinition.read(
            event_type=EVENT_TYPE, property="input_tokens", aggregation=Aggregation.MAX
        )
        make_sku(plan, meter=definition, meter_code="it")

        subscription = self.race(monkeypatch, plan=plan)

        assert read_totals(subscription)["it"] == 10
        assert find_breaches() == []

    def test_of_many_all_is_as_if_it_had_been_one_after_the_other(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        gone = [write_event(subscription, id=f"gone-{number}") for number in range(40)]
        ingest(*gone)

        def send(sender: int) -> None:
            for number in range(10):
                ingest(*[write_event(subscription, id=f"{sender}-{number}-{place}") for place in range(5)])

        def take_back(part: int) -> None:
            for event in gone[part::2]:
                void(event)

        assert (
            errors_of(
                race(
                    *[partial(send, sender) for sender in range(3)],
                    *[partial(take_back, part) for part in range(2)],
                )
            )
            == []
        )
        assert read_totals(subscription)[INPUT] == 1500
        assert find_breaches() == []

    def lose(self, patches: Patches) -> bool:
        """Take an event back while another is stored, and tell whether what it added is lost."""
        subscription = subscribe(plan=make_metered_plan())
        gone, kept = write_event(subscription), write_event(subscription)
        meeting = Meeting()

        def send() -> None:
            ingest(gone)  # By the same connection, and so in the same stripe.
            with transaction.atomic():
                ingest(kept)
                meeting.stop_inside()

        def take_back() -> UsageCorrection:
            with meeting.entering_second():
                return void(gone)

        assert errors_of(race(send, take_back)) == []
        return read_totals(subscription).get(INPUT, 0) != 10

    def test_what_is_under_way_is_waited_for(self, monkeypatch: Patches) -> None:
        assert not self.lose(monkeypatch)

    def test_it_would_be_lost_without_the_slot(self, monkeypatch: Patches) -> None:
        take_locks_away(monkeypatch)

        assert self.lose(monkeypatch)


class TestAgainstClosing:
    def race(self, patches: Patches) -> int:
        """Close the last period of a subscription while an event in it is taken back.

        The void has seen the period open, and is stored only then. Return how many marks tell a bill run to
        come back, if the period was closed and read without the void; else -1.
        """
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))
        event = write_event(subscription)
        ingest(event)
        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=NOON + HOUR, actor=TESTER)
        meeting = Meeting()
        stop_after(patches, corrections, "_mark_ended", meeting)
        billed: list[object] = []

        def close_and_bill() -> None:
            with meeting.entering_second():
                close(subscription, 0, at=NOON + HOUR)
                billed.append(read_totals(subscription).get(INPUT, 0))

        assert errors_of(race(partial(void, event), close_and_bill)) == []
        assert not Period.objects.filter(subscription=subscription, closed_at__isnull=True).exists()
        return LateUsage.objects.count() if billed == [10] else -1

    def test_what_is_billed_is_without_the_event(self, monkeypatch: Patches) -> None:
        assert self.race(monkeypatch) == -1

    def test_it_would_be_billed_for_good_without_the_slot(self, monkeypatch: Patches) -> None:
        take_locks_away(monkeypatch)

        assert self.race(monkeypatch) == 0


class TestAgainstMatching:
    def race(self, patches: Patches) -> tuple[Event, list[Any], Subscription]:
        """Match a customer's unmatched events while one of them is being taken back."""
        customer = make_customer()
        event = write_event(customer)
        ingest(event)
        subscription = subscribe(customer=customer, plan=make_metered_plan())
        meeting = Meeting()
        stop_before(patches, corrections, "undo_events", meeting)

        def match() -> int:
            with meeting.entering_second():
                return match_unmatched_events(subscription_id=subscription.pk, at=NOON, actor=TESTER)

        return event, race(partial(void, event), match), subscription

    def test_a_void_event_is_not_matched(self, monkeypatch: Patches) -> None:
        event, (correction, matched), subscription = self.race(monkeypatch)

        assert isinstance(correction, UsageCorrection)
        assert matched == 0
        assert not get_stored(event).is_matched
        assert read_totals(subscription).get(INPUT, 0) == 0
        assert find_breaches() == []

    def test_it_would_be_without_the_customers_slot(self, monkeypatch: Patches) -> None:
        take_locks_away(monkeypatch)

        _, (_, matched), subscription = self.race(monkeypatch)

        assert matched == 1
        assert read_totals(subscription)[INPUT] == 10  # It is void, and counts.

    def test_one_that_was_matched_since_it_was_looked_at_is_tried_again(self, monkeypatch: Patches) -> None:
        customer = make_customer()
        event = write_event(customer)
        ingest(event)
        subscription = subscribe(customer=customer, plan=make_metered_plan())
        meeting = Meeting()
        stop_before(monkeypatch, corrections, "lock_slots_exclusive", meeting)

        def match() -> int:
            with meeting.entering_second():
                return match_unmatched_events(subscription_id=subscription.pk, at=NOON, actor=TESTER)

        refused, matched = race(partial(void, event), match)

        assert (type(refused), matched) == (Busy, 1)
        assert not UsageCorrection.objects.exists()
        void(event)
        assert read_totals(subscription).get(INPUT, 0) == 0
        assert find_breaches() == []


class TestAmendments:
    def test_that_cross_do_not_wait_in_a_circle(self) -> None:
        plan = make_metered_plan()
        one = subscribe(plan=plan)
        two = subscribe(customer=one.customer, plan=plan)
        events = [write_event(owner, id=f"{number}") for number, owner in enumerate([one, two] * 6)]
        ingest(*events)
        replacements = [write_event(owner) for owner in [two, one] * 6]

        outcomes = race(
            *[partial(amend, event, new) for event, new in zip(events, replacements, strict=True)]
        )

        assert errors_of(outcomes) == []
        assert [read_totals(owner)[INPUT] for owner in (one, two)] == [60, 60]
        assert find_breaches() == []

    def test_of_one_event_have_one_winner(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)
        replacements = [write_event(subscription, properties={"input_tokens": 7}) for _ in range(6)]

        outcomes = race(*[partial(amend, event, new) for new in replacements])

        assert [type(error) for error in errors_of(outcomes)] == [EventAlreadyVoided] * 5
        assert read_totals(subscription)[INPUT] == 7
        assert find_breaches() == []
