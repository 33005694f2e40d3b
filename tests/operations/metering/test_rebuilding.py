"""Rebuilding rollups, whatever is wrong with them."""

import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable

from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from catalog.models import Aggregation, CatalogStatus, Meter
from catalog.operations import MeterDefinition
from metering import operations, recounting
from metering.management.commands import rebuild_rollups
from metering.meters import build_rule
from metering.models import UsageRollup, UsageValue
from metering.operations import rebuild_stretch
from metering.recounting import ALWAYS, Stretch, compare, find_stretch, iterate_stretches
from subscriptions.models import Segment, Subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON
from tests.factories.customers import make_customer
from tests.factories.metering import EVENT_TYPE, INPUT, ingest, make_metered_plan, read_totals, write_event
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)

# What can be wrong: totals, numbers, times, groups, what leads, what is kept; rows that lack or are too many.
CORRUPTIONS = {
    "total": "UPDATE metering_usagerollup SET total = total + 1",
    "event count": "UPDATE metering_usagerollup SET event_count = event_count - 1",
    "late total": "UPDATE metering_usagerollup SET late_total = 1",
    "late count": "UPDATE metering_usagerollup SET late_count = 1",
    "moment": "UPDATE metering_usagerollup SET moment = moment + 1",
    "leader": "UPDATE metering_usagerollup SET lead_rank = lead_rank + 5, lead_value = lead_value + 5",
    "leader's value": "UPDATE metering_usagerollup SET lead_value = lead_value + 1",
    "no leader": "UPDATE metering_usagerollup SET lead_rank = NULL, lead_value = NULL",
    "hour": "UPDATE metering_usagerollup SET hour_at = hour_at - interval '1 year'",
    "group": "UPDATE metering_usagerollup SET group_key = replace(group_key, 'gpt', 'other')",
    "missing row": "DELETE FROM metering_usagerollup",
    "extra row": """
        INSERT INTO metering_usagerollup
        SELECT (rollup).* FROM (
            SELECT jsonb_populate_record(kept, jsonb_build_object('hour_at', kept.hour_at - interval '1 year')) AS rollup
            FROM metering_usagerollup kept
        ) AS extra
    """,
    "extra row of nothing but a total": """
        INSERT INTO metering_usagerollup
        SELECT (rollup).* FROM (
            SELECT jsonb_populate_record(
                kept, jsonb_build_object('hour_at', kept.hour_at - interval '1 year', 'event_count', 0)
            ) AS rollup
            FROM metering_usagerollup kept
        ) AS extra
    """,
    "row twice, in two stripes": """
        INSERT INTO metering_usagerollup
        SELECT (rollup).* FROM (
            SELECT jsonb_populate_record(kept, jsonb_build_object('stripe', kept.stripe + 8)) AS rollup
            FROM metering_usagerollup kept
        ) AS extra
    """,
    "value": "UPDATE metering_usagevalue SET value = value || '0'",
    "value's count": "UPDATE metering_usagevalue SET event_count = event_count + 1",
    "missing value": "DELETE FROM metering_usagevalue",
    "another customer's": "UPDATE metering_usagerollup SET customer_id = %(stranger)s",
    "nobody's segment": "UPDATE metering_usagerollup SET segment_id = %(stranger)s",
    "no meter": "UPDATE metering_usagerollup SET meter_id = %(stranger)s WHERE lead_rank IS NOT NULL",
    "nobody's value": "UPDATE metering_usagevalue SET segment_id = %(stranger)s",
}


def run(sql: str, **parameters: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.rowcount


def rebuild(*options: str) -> str:
    out = io.StringIO()
    call_command("rebuild_rollups", *options, stdout=out)
    return out.getvalue()


def make_used() -> Subscription:
    """Subscribe to a plan that asks for every kind of state, and use it for some hours."""
    plan = make_plan()
    for name, aggregation in {
        "sum": Aggregation.SUM,
        "max": Aggregation.MAX,
        "unique": Aggregation.UNIQUE_COUNT,
        "level": Aggregation.WEIGHTED_SUM,
    }.items():
        definition = MeterDefinition.read(
            event_type=EVENT_TYPE, property="input_tokens", aggregation=aggregation, group_by=["model"]
        )
        make_sku(plan, name=name, meter=definition, meter_code=name)
    subscription = subscribe(plan=plan)
    for number in range(6):
        properties = {"input_tokens": 10 + number // 2, "model": f"gpt-{number % 2}"}
        at = NOON + HOUR * (number // 3)
        ingest(write_event(subscription, timestamp=at, properties=properties), at=at)
    return subscription


def read_state() -> list[dict[str, Any]]:
    """Read what the rollups say, whatever stripe they are in."""
    fields = ("customer_id", "segment_id", "meter_id", "hour_at", "group_key")
    kept = ("total", "event_count", "late_total", "late_count", "moment", "lead_rank", "lead_value")
    rollups = UsageRollup.objects.order_by(*fields).values(*fields, *kept)
    values = UsageValue.objects.order_by(*fields, "value").values(*fields, "value", "event_count")
    return [*rollups, *values]


class TestRebuildRollups:
    @pytest.mark.parametrize("wrong", CORRUPTIONS)
    def test_repairs(self, wrong: str) -> None:
        subscription = make_used()
        before, totals = read_state(), read_totals(subscription)
        assert run(CORRUPTIONS[wrong], stranger=make_id()) > 0

        assert "wrong, and are right now." in rebuild()

        assert read_state() == before
        assert read_totals(subscription) == totals
        assert find_breaches() == []
        assert rebuild() == "Rollups equal what their events add up to.\n"

    def test_leaves_right_rollups_as_they_are(self) -> None:
        make_used()
        before = run("SELECT 1 FROM metering_usagerollup")
        run("UPDATE metering_usagerollup SET stripe = 7")

        assert rebuild() == "Rollups equal what their events add up to.\n"

        assert UsageRollup.objects.filter(stripe=7).count() == before
        assert not AuditEntry.objects.filter(action="usage.rebuilt").exists()

    def test_says_where_and_records_what_was_wrong(self) -> None:
        subscription = make_used()
        make_used()
        segment = subscription.segments.get()
        run("UPDATE metering_usagerollup SET total = 0 WHERE segment_id = %(id)s", id=segment.pk)

        said = rebuild()

        assert said == f"Segment {segment.pk}: 12 wrong.\n12 rollups were wrong, and are right now.\n"
        entry = AuditEntry.objects.get(action="usage.rebuilt")
        assert (entry.subject_id, entry.customer_id) == (str(subscription.pk), subscription.customer_id)
        assert entry.changes == {
            "segment_id": [str(segment.pk)] * 2,
            "wrong_rollup_count": [12, 0],
        }
        assert (entry.actor_kind, entry.actor_label) == ("Command", "manage.py rebuild_rollups")

    def test_records_strays_of_a_customer(self) -> None:
        subscription = make_used()
        run("UPDATE metering_usagevalue SET segment_id = %(id)s", id=make_id())

        rebuild()

        entry = AuditEntry.objects.get(action="usage.rebuilt", subject_type="customers.Customer")
        assert (entry.subject_id, entry.changes) == (
            str(subscription.customer_id),
            {"stray_rollup_count": [6, 0]},
        )

    @pytest.mark.parametrize("option", ["customer", "subscription", "segment"])
    def test_keeps_to_what_is_asked_for(self, option: str) -> None:
        first, second = make_used(), make_used()
        ids = {
            "customer": first.customer_id,
            "subscription": first.pk,
            "segment": first.segments.get().pk,
        }
        run("DELETE FROM metering_usagerollup")

        rebuild(f"--{option}", str(ids[option]))

        assert (read_totals(first)["sum"], read_totals(second)) == (66, {})

    def test_rebuilds_one_meter(self) -> None:
        subscription = make_used()
        run("DELETE FROM metering_usagerollup")

        rebuild("--meter", "sum")

        assert read_totals(subscription) == {"sum": Decimal(66)}

    def test_leaves_archived_meters_alone(self) -> None:
        subscription = make_used()
        Meter.objects.filter(code="sum").update(status=CatalogStatus.ARCHIVED)
        run("DELETE FROM metering_usagerollup")

        rebuild()

        assert sorted(read_totals(subscription)) == ["level", "max", "unique"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--meter", "nothing"), "There is no active meter 'nothing'."),
            (("--customer", str(make_id())), "There is no customer"),
            (("--segment", str(make_id()), "--customer", str(make_id())), "not allowed with"),
            (("--subscription", "7"), "invalid UUID value"),
        ],
    )
    def test_refuses_what_it_does_not_know(self, options: tuple[str, ...], message: str) -> None:
        with pytest.raises(CommandError, match=message):
            rebuild(*options)

    def test_waits_for_those_who_hold_a_slot_for_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        subscription = make_used()
        run("UPDATE metering_usagerollup SET total = 0")
        failures = [LockNotAvailable(), LockNotAvailable()]

        def repair_stretch(**arguments: Any) -> int:
            if failures:
                raise OperationalError from failures.pop()
            return operations.repair_stretch(**arguments)

        monkeypatch.setattr(rebuild_rollups, "repair_stretch", repair_stretch)

        rebuild()

        assert read_totals(subscription)["sum"] == 66
        assert find_breaches() == []

    def test_gives_up_on_what_is_no_matter_of_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_used()

        def repair_stretch(**_: Any) -> int:
            raise OperationalError("The disk is full.")

        monkeypatch.setattr(rebuild_rollups, "repair_stretch", repair_stretch)

        with pytest.raises(OperationalError, match="The disk is full"):
            rebuild()


@pytest.mark.django_db(transaction=True)
class TestCheck:
    def test_compares_and_changes_nothing(self) -> None:
        make_used()
        assert rebuild("--check") == "Rollups equal what their events add up to.\n"
        run("UPDATE metering_usagerollup SET total = 0 WHERE lead_rank IS NOT NULL")
        run("UPDATE metering_usagevalue SET segment_id = %(id)s", id=make_id())
        before = read_state()

        with pytest.raises(CommandError, match="14 rollups are wrong") as raised:
            rebuild("--check")

        assert raised.value.returncode == 1
        assert read_state() == before


class TestRebuildStretch:
    def test_keeps_to_the_stretch(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        for hour in range(3):
            ingest(write_event(subscription, timestamp=NOON + HOUR * hour), at=NOON + HOUR * hour)
        run("UPDATE metering_usagerollup SET total = 1000")
        rules = [build_rule(Meter.objects.get(code=INPUT))]

        count = rebuild_stretch(
            segment_id=subscription.segments.get().pk,
            stretch=Stretch(NOON + HOUR, NOON + HOUR * 2),
            rules=rules,
        )

        assert count == 1
        found = UsageRollup.objects.filter(meter_id=rules[0].meter_id).order_by("hour_at")
        assert list(found.values_list("total", flat=True)) == [1000, 10, 1000]

    def test_lets_late_events_stay_late(self) -> None:
        subscription = make_used()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE metering_usageevent DISABLE TRIGGER USER")
            cursor.execute("UPDATE metering_usageevent SET is_late = TRUE WHERE billed_at = %s", [NOON])

        assert compare(get_segment(subscription), stretch=ALWAYS, rules=list_rules()).wrong
        rebuild()

        late = UsageRollup.objects.filter(meter_id=Meter.objects.get(code="sum").pk, late_count__gt=0)
        assert sum(late.values_list("late_total", flat=True)) == 31
        assert find_breaches() == []


def get_segment(subscription: Subscription) -> Segment:
    return Segment.objects.select_related("period", "subscription").get(subscription=subscription)


def list_rules() -> list[Any]:
    return [build_rule(meter) for meter in Meter.objects.all()]


class TestStretches:
    def ingest_at(self, *stamps: Any, timezone: str = "UTC") -> Segment:
        customer = make_customer(timezone=timezone)
        start = min(stamps)
        subscription = subscribe(customer=customer, plan=make_metered_plan(), start_at=start, at=start)
        ingest(*[write_event(subscription, timestamp=at) for at in stamps], at=max(stamps))
        return get_segment(subscription)

    def test_cover_all_time_and_end_with_the_hour_that_has_enough(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recounting, "EVENTS_PER_STRETCH", 2)
        half = timedelta(minutes=30)
        segment = self.ingest_at(*[NOON + half * number for number in (0, 1, 1, 2, 5, 6)])

        assert list(iterate_stretches(segment)) == [
            Stretch(None, NOON + HOUR),
            Stretch(NOON + HOUR, NOON + HOUR * 3),
            Stretch(NOON + HOUR * 3, None),
        ]

    def test_of_a_segment_without_events_is_one(self) -> None:
        segment = get_segment(subscribe())

        assert list(iterate_stretches(segment)) == [ALWAYS]

    def test_end_on_local_hours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recounting, "EVENTS_PER_STRETCH", 1)
        segment = self.ingest_at(NOON, NOON + HOUR * 2, timezone="Asia/Kolkata")

        stretch = find_stretch(segment, starts_at=None)

        assert stretch == Stretch(None, NOON + timedelta(minutes=30))

    @pytest.mark.parametrize(
        "change_at",
        [utc(2026, 4, 4, 15), utc(2026, 10, 3, 15, 30)],  # Back, and forward, by half an hour.
    )
    def test_do_not_cut_an_hour_in_which_the_clock_is_changed(
        self, monkeypatch: pytest.MonkeyPatch, change_at: Any
    ) -> None:
        monkeypatch.setattr(recounting, "EVENTS_PER_STRETCH", 1)
        steps = [change_at + timedelta(minutes=10) * number for number in range(-18, 18)]
        segment = self.ingest_at(*steps, timezone="Australia/Lord_Howe")
        before = read_state()

        stretches = list(iterate_stretches(segment))
        for stretch in stretches:
            assert compare(segment, stretch=stretch, rules=list_rules()).wrong == []
        run("UPDATE metering_usagerollup SET total = 0")
        for stretch in stretches:
            rebuild_stretch(segment_id=segment.pk, stretch=stretch, rules=list_rules())

        assert len(stretches) >= 6
        assert read_state() == before
