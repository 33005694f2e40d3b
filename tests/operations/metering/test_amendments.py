"""Putting another event in the place of one."""

import pytest
from django.db import transaction

from billing_project.core.models import AuditEntry
from catalog.models import BillingCadence
from metering.models import (
    EventVoid,
    UsageCorrection,
)
from metering.operations.corrections import (
    EventAlreadyVoided,
    ReplacementNotNew,
    ReplacementRefused,
)
from tests.factories.core import NOON
from tests.factories.corrections import amend, void
from tests.factories.metering import (
    INPUT,
    OUTPUT,
    close,
    count_report,
    get_period_number,
    get_stored,
    ingest,
    make_metered_plan,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe, utc
from tests.operations.metering.correcting import HOUR, Event, read_input

pytestmark = pytest.mark.django_db


class TestAmendEvent:
    def test_puts_another_event_in_the_place_of_one(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        wrong = write_event(subscription)
        ingest(wrong, write_event(subscription))
        right = write_event(subscription, properties={"input_tokens": 7, "output_tokens": 0})

        correction = amend(wrong, right)

        assert read_totals(subscription) == {INPUT: 17, OUTPUT: 2}
        assert (correction.kind, correction.event_count) == ("Amend", 1)
        note = EventVoid.objects.get()
        assert (note.event_id, note.replacement_event_id) == (wrong["id"], right["id"])
        assert AuditEntry.objects.filter(action="usage.voided").count() == 1
        assert count_report(ingest(right)) == (0, 1, 0)
        assert find_breaches() == []

    def test_bills_the_replacement_by_the_rules_of_ingest(self) -> None:
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))
        wrong = write_event(subscription)
        ingest(wrong)
        close(subscription, 0, at=utc(2026, 3, 2, 1))
        right = write_event(subscription, properties={"input_tokens": 7})

        amend(wrong, right, received_at=utc(2026, 3, 2, 1))

        assert (get_period_number(wrong), get_period_number(right)) == (0, 1)
        assert get_stored(right).is_late
        assert [read_input(subscription, period=number) for number in (0, 1)] == [0, 7]
        assert find_breaches() == []

    def test_can_move_an_event_to_another_subscription(self) -> None:
        plan = make_metered_plan()
        one = subscribe(plan=plan)
        two = subscribe(customer=one.customer, plan=plan)
        wrong = write_event(one)
        ingest(wrong)

        amend(wrong, write_event(two))

        assert (read_input(one), read_input(two)) == (0, 10)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"timestamp": NOON + 2 * HOUR}, "timestamp_in_future"),
            ({"properties": {"input_tokens": "many"}}, "invalid_value"),
            ({"subscription_id": "0192aaaa-0000-7000-8000-000000000000"}, "unknown_subscription"),
        ],
    )
    def test_changes_nothing_if_the_replacement_is_refused(self, change: Event, code: str) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)

        with pytest.raises(ReplacementRefused) as caught, transaction.atomic():
            amend(event, {**write_event(subscription), **change})

        assert [error.code for error in caught.value.errors] == [code]
        assert read_input(subscription) == 10
        assert not UsageCorrection.objects.exists()
        assert find_breaches() == []

    def test_needs_an_id_of_its_own_for_the_replacement(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event, other = write_event(subscription), write_event(subscription)
        ingest(event, other)

        with pytest.raises(ReplacementNotNew), transaction.atomic():
            amend(event, other)
        with pytest.raises(ReplacementRefused) as caught, transaction.atomic():
            amend(event, {**event, "properties": {}})

        assert [error.code for error in caught.value.errors] == ["conflict"]
        assert read_input(subscription) == 20

    def test_stays_with_the_customer(self) -> None:
        plan = make_metered_plan()
        subscription = subscribe(plan=plan)
        event = write_event(subscription)
        ingest(event)

        with pytest.raises(ReplacementRefused, match="same customer"):
            amend(event, write_event(subscribe(plan=plan)))

        assert read_input(subscription) == 10

    def test_is_not_done_to_what_is_void(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)
        void(event)

        with pytest.raises(EventAlreadyVoided):
            amend(event, write_event(subscription))
