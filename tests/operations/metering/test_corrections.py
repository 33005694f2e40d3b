"""Taking one event back."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing_project.core.models import AuditEntry, OutboxEvent
from catalog.models import Aggregation, BillingCadence
from metering.models import (
    ArchivedSegment,
    ArchiveFormat,
    EventArchive,
    EventVoid,
    LateUsage,
    UsageCorrection,
    UsageEvent,
    UsageRollup,
    UsageValue,
)
from metering.models.corrections import leave_out_voided
from metering.operations import match_unmatched_events
from metering.operations.corrections import (
    EventAlreadyVoided,
)
from metering.queries.archives import UsageArchived
from metering.reasons import CorrectionReasonMissing
from subscriptions.models import Period, Subscription
from subscriptions.operations import When, cancel_subscription
from tests.factories.core import NOON, TESTER
from tests.factories.corrections import void, void_all
from tests.factories.customers import make_customer
from tests.factories.metering import (
    CALLS,
    EVENT_TYPE,
    INPUT,
    OUTPUT,
    close,
    count_report,
    get_stored,
    ingest,
    make_metered_plan,
    read_totals,
    read_usage,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe, utc
from tests.operations.metering.correcting import HOUR, Event, read_input, read_it, subscribe_to, use

pytestmark = pytest.mark.django_db


def turn_stripes(number: int) -> None:
    """Have what is rolled up so far be the stripe of another connection."""
    with connection.cursor() as cursor:
        for table in ("metering_usagerollup", "metering_usagevalue"):
            cursor.execute(f"UPDATE {table} SET stripe = %s WHERE stripe < 8", [8 + number])


class TestVoidEvent:
    def test_undoes_what_the_event_added(self) -> None:
        subscription = subscribe(plan=make_metered_plan(with_count=True))
        kept, gone = write_event(subscription), write_event(subscription)
        ingest(kept, gone)

        correction = void(gone, reason="  Sent by a test run ")

        assert read_totals(subscription) == {INPUT: 10, OUTPUT: 2, CALLS: 1}
        assert (correction.kind, correction.event_count, correction.reason) == (
            "Void",
            1,
            "Sent by a test run",
        )
        assert (correction.customer_id, correction.subscription_id) == (
            subscription.customer_id,
            subscription.pk,
        )
        assert correction.created_at == NOON
        stored = get_stored(gone)
        (note,) = EventVoid.objects.all()
        assert (
            note.customer_id,
            note.event_id,
            note.event_uid,
            note.segment_id,
            note.replacement_event_id,
        ) == (
            subscription.customer_id,
            gone["id"],
            stored.uid,
            stored.segment_id,
            None,
        )
        assert find_breaches() == []

    def test_is_recorded_and_told(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)

        correction = void(event)

        entry = AuditEntry.objects.get(action="usage.voided")
        assert (entry.subject_id, entry.customer_id) == (str(correction.pk), subscription.customer_id)
        assert entry.changes["event_count"] == [None, 1]
        assert entry.changes["reason"] == [None, "Sent by a test run"]
        told = OutboxEvent.objects.get(name="usage.corrected")
        assert told.subject_id == correction.pk
        assert told.payload == {
            "kind": "Void",
            "subscription_id": str(subscription.pk),
            "event_count": 1,
            "reason": "Sent by a test run",
        }

    def test_leaves_nothing_below_zero_whatever_stripe_it_was_added_to(self) -> None:
        subscription = subscribe_to(Aggregation.PERCENTILE, percentile=Decimal(50))
        events = []
        for number, value in enumerate((30, 10, 30)):
            events.append(use(subscription, value))
            turn_stripes(number)

        for event, left in zip(events, (10, 30, 0), strict=True):
            void(event)

            assert read_it(subscription) == left
            assert find_breaches() == []
        assert not UsageRollup.objects.exclude(event_count=0, total=0, late_count=0, late_total=0).exists()
        assert not UsageValue.objects.exclude(event_count=0).exists()

    def test_undoes_the_late_part(self) -> None:
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))
        close(subscription, 0, at=utc(2026, 3, 2, 1))
        late, on_time = write_event(subscription), write_event(subscription, timestamp=utc(2026, 3, 2))
        ingest(late, on_time, at=utc(2026, 3, 2, 1))
        assert read_usage(subscription, period=1)[INPUT].late_quantity == 10

        void(late)

        usage = read_usage(subscription, period=1)[INPUT]
        assert (usage.quantity, usage.late_quantity, usage.event_count) == (10, 0, 1)
        assert find_breaches() == []

    @pytest.mark.parametrize(
        ("aggregation", "values", "voided", "left"),
        [
            (Aggregation.MAX, [5, 9, 7], 1, 7),
            (Aggregation.MAX, [5, 9, 7], 0, 9),
            (Aggregation.MIN, [5, 3, 7], 1, 5),
            (Aggregation.LATEST, [5, 9, 7], 2, 9),
            (Aggregation.LATEST, [5, 9, 7], 0, 7),
            (Aggregation.AVERAGE, [5, 9, 7], 1, 6),
            (Aggregation.UNIQUE_COUNT, ["a", "b", "b"], 0, 1),
            (Aggregation.UNIQUE_COUNT, ["a", "b", "b"], 1, 2),
            (Aggregation.MAX, [5], 0, 0),
        ],
    )
    def test_leaves_what_the_others_come_to(
        self, aggregation: Aggregation, values: list[object], voided: int, left: int
    ) -> None:
        subscription = subscribe_to(aggregation)
        events = [use(subscription, value, hours=hour / 2) for hour, value in enumerate(values)]

        void(events[voided])

        assert read_it(subscription) == left
        assert find_breaches() == []

    def test_takes_a_change_out_of_a_level_that_is_weighted_by_time(self) -> None:
        subscription = subscribe_to(Aggregation.WEIGHTED_SUM)
        use(subscription, 4)
        gone = use(subscription, 100, hours=1)
        before = read_it(subscription)

        void(gone)

        alone = subscribe(plan=subscription.plan_version.plan)
        use(alone, 4)
        assert read_it(subscription) == read_it(alone) < before
        assert find_breaches() == []

    def test_leaves_other_groups_and_hours(self) -> None:
        subscription = subscribe_to(Aggregation.MAX, group_by=["model"])
        gone = use(subscription, 50, model="a")
        use(subscription, 40, model="b")
        use(subscription, 30, hours=1, model="a")

        void(gone)

        leaders = UsageRollup.objects.values_list("group_key", "lead_value")
        assert sorted(leaders) == [('["a"]', 30), ('["b"]', 40)]
        assert find_breaches() == []

    def test_is_done_once(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event, write_event(subscription))
        void(event)

        with pytest.raises(EventAlreadyVoided, match="is void already"):
            void(event)

        assert read_input(subscription) == 10
        assert UsageCorrection.objects.count() == 1

    def test_keeps_the_id_known(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)
        void(event)

        assert count_report(ingest(event)) == (0, 1, 0)
        assert count_report(ingest({**event, "properties": {}})) == (0, 0, 1)
        assert read_input(subscription) == 0
        assert find_breaches() == []

    def test_keeps_an_unmatched_event_from_being_matched(self) -> None:
        customer = make_customer()
        kept, gone = write_event(customer), write_event(customer)
        ingest(kept, gone)

        correction = void(gone)

        assert correction.subscription_id is None
        assert EventVoid.objects.get().segment_id is None
        subscription = subscribe(customer=customer, plan=make_metered_plan())
        assert match_unmatched_events(subscription_id=subscription.pk, at=NOON, actor=TESTER) == 1
        assert get_stored(kept).is_matched
        assert not get_stored(gone).is_matched
        assert find_breaches() == []

    def test_knows_an_event_by_its_customer(self) -> None:
        plan = make_metered_plan()
        one, other = subscribe(plan=plan), subscribe(plan=plan)
        event = write_event(one, id="same")
        ingest(event, write_event(other, id="same"))

        void(event)

        assert (read_input(one), read_input(other)) == (0, 10)

    def test_is_refused_once_the_usage_is_archived(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)
        archive = EventArchive.objects.create(
            number=1,
            format=ArchiveFormat.JSON_LINES,
            ended_by=NOON,
            file_name="a",
            manifest_name="b",
            created_at=NOON,
        )
        ArchivedSegment.objects.create(
            archive=archive,
            segment_id=get_stored(event).segment_id,
            customer_id=subscription.customer_id,
        )

        with pytest.raises(UsageArchived):
            void(event)
        with pytest.raises(UsageArchived):
            void_all(subscription, event_type=EVENT_TYPE)

        assert read_input(subscription) == 10

    @pytest.mark.parametrize("reason", ["", " \n"])
    def test_asks_why(self, reason: str) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)

        with pytest.raises(CorrectionReasonMissing):
            void(event, reason=reason)

        assert read_input(subscription) == 10
        assert not UsageCorrection.objects.exists()


class TestMarkOfEndedSubscriptions:
    def make_ended(self) -> tuple[Subscription, Event]:
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))
        event = write_event(subscription)
        ingest(event)
        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=NOON + HOUR, actor=TESTER)
        return subscription, event

    def test_is_there_where_no_period_is_open_any_more(self) -> None:
        subscription, event = self.make_ended()
        period = close(subscription, 0, at=NOON + HOUR)

        void(event, at=NOON + 2 * HOUR)

        mark = LateUsage.objects.get()
        assert (mark.subscription_id, mark.period_id, mark.noted_at) == (
            subscription.pk,
            period.pk,
            NOON + 2 * HOUR,
        )

    def test_is_not_there_while_the_last_period_is_open(self) -> None:
        _, event = self.make_ended()

        void(event)

        assert not LateUsage.objects.exists()

    def test_is_not_there_while_the_subscription_goes_on(self) -> None:
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))
        event = write_event(subscription)
        ingest(event)
        close(subscription, 0, at=utc(2026, 3, 2, 1))
        assert not Period.objects.filter(subscription=subscription, closed_at__isnull=True).exists()

        void(event)

        assert not LateUsage.objects.exists()

    def test_is_left_where_there_is_one(self) -> None:
        subscription, event = self.make_ended()
        close(subscription, 0, at=NOON + HOUR)
        ingest(write_event(subscription), at=NOON + HOUR)

        void(event, at=NOON + 2 * HOUR)

        assert LateUsage.objects.get().noted_at == NOON + HOUR


class TestRows:
    def test_are_append_only(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)
        void(event)

        for table in ("usagecorrection", "eventvoid"):
            for statement in (
                f"UPDATE metering_{table} SET id = gen_random_uuid()",
                f"DELETE FROM metering_{table}",
                f"TRUNCATE metering_{table} CASCADE",
            ):
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                        cursor.execute(statement)

    def test_void_an_event_once(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)
        correction = void(event)
        note = EventVoid.objects.get()

        with pytest.raises(IntegrityError, match="eventvoid_is_once_per_event"), transaction.atomic():
            EventVoid.objects.create(
                correction=correction,
                customer_id=note.customer_id,
                event_id=note.event_id,
                event_uid=note.event_uid,
            )

    def test_are_looked_up_by_their_key(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        events = leave_out_voided(UsageEvent.objects.filter(customer_id=subscription.customer_id))

        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            plan = events.explain()

        assert "Anti Join" in plan
        assert "eventvoid_is_once_per_event" in plan
