"""Verifying usage: numbers computed once more from events, and events that say what they add."""

import csv
import io
import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from billing_project.core.ids import make_id
from catalog.models import Aggregation
from metering.models import ArchivedSegment, ArchiveFormat, EventArchive
from metering.operations import void_event
from metering.queries import read_segment_usage
from metering.queries.archives import UsageArchived
from metering.verification import VerifiedUsage, explain_events, verify_usage
from subscriptions.models import Period, Subscription
from tests.factories.core import TESTER
from tests.factories.metering import (
    close,
    define_meter,
    ingest,
    make_plan_of,
    split_period,
    write_event,
    write_upload,
)
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

APRIL, MAY, JUNE = (utc(2026, month, 1) for month in (4, 5, 6))
EVERY = {name: define_meter(Aggregation(name), group_by=["region"]) for name in Aggregation.values}
LEVEL = {"level": define_meter(Aggregation.WEIGHTED_SUM, carries_over=True, group_by=["region"])}
FILTER = {"property": "region", "operator": "In", "values": ["eu", "us"]}
DAY = timedelta(days=1)


def april(day: int) -> datetime:
    return utc(2026, 4, day)


def send(subscription: Subscription, *uploads: tuple[datetime, dict[str, Any]], at: datetime) -> None:
    report = ingest(
        *[write_upload(subscription, timestamp=stamped, **rest) for stamped, rest in uploads], at=at
    )
    assert not report.refusals


def get_period(subscription: Subscription, number: int = 0) -> Period:
    return Period.objects.get(subscription=subscription, number=number)


def verify(subscription: Subscription, number: int = 0, *, at: datetime = JUNE) -> dict[str, VerifiedUsage]:
    """Verify a period of one segment."""
    found = verify_usage(subscription=subscription, period=get_period(subscription, number), at=at)
    return {usage.meter.code: usage for usage in found}


def corrupt(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def used() -> Subscription:
    """Use every meter in two segments of April and in May, early and late, and take some of it back."""
    subscription = subscribe(plan=make_plan_of(EVERY | LEVEL), start_at=APRIL, at=APRIL)
    split_period(subscription, at=april(11))
    send(
        subscription,
        *[(april(day), {"size": 10 * day, "region": "eu" if day % 2 else "us"}) for day in range(1, 25, 3)],
        at=april(25),
    )
    void_event(
        customer_id=subscription.customer_id,
        event_id=_send_one(subscription, april(20)),
        reason="Sent in error.",
        at=april(26),
        actor=TESTER,
    )
    send(subscription, (MAY + DAY, {"size": 7}), at=MAY + DAY)
    close(subscription, 0, at=MAY + DAY)
    send(subscription, (april(30), {"size": 5, "region": "eu"}), at=MAY + DAY)
    return subscription


def _send_one(subscription: Subscription, at: datetime) -> str:
    event = write_upload(subscription, timestamp=at, size=1_000_000, region="eu")
    assert ingest(event, at=april(25)).accepted == 1
    return str(event["id"])


class TestVerifyUsage:
    @pytest.mark.parametrize("number", [0, 1])
    def test_comes_to_the_same_from_events_as_from_rollups(self, used: Subscription, number: int) -> None:
        period = get_period(used, number)
        segments = list(period.segments.order_by("position"))

        found = verify_usage(subscription=used, period=period, at=JUNE)

        assert len(found) == len(segments) * len(EVERY | LEVEL)
        billed = read_segment_usage(
            customer_id=used.customer_id,
            period=period,
            segments=segments,
            meters=[usage.meter for usage in found],
            at=JUNE,
        )
        for usage in found:
            assert usage.is_right, usage.meter.code
            assert usage.recounted == billed[usage.segment.pk, usage.meter.pk]
            assert usage.recounted.event_count > 0
        assert find_breaches() == []

    def test_counts_what_is_worked_out_by_hand(self, used: Subscription) -> None:
        first, second = (
            usage.recounted
            for usage in verify_usage(subscription=used, period=get_period(used), at=JUNE)
            if usage.meter.code == "Sum"
        )

        assert (first.quantity, first.event_count) == (10 + 40 + 70 + 100, 4)
        assert (second.quantity, second.event_count) == (130 + 160 + 190 + 220, 4)  # The void one is out.

    def test_tells_the_late_part_and_the_groups(self, used: Subscription) -> None:
        usage = verify(used, 1)["Sum"]

        assert (usage.recounted.quantity, usage.recounted.late_quantity) == (12, 5)
        assert [(group.values, group.usage.quantity) for group in usage.groups] == [
            ({"region": "eu"}, 5),
            ({"region": None}, 7),
        ]

    def test_carries_levels_over_from_the_events_of_earlier_periods(self) -> None:
        subscription = subscribe(plan=make_plan_of(LEVEL), start_at=APRIL, at=APRIL)
        send(subscription, (april(16), {"size": 30}), at=april(16))
        close(subscription, 0, at=MAY + DAY)
        send(subscription, (utc(2026, 5, 16, 12), {"size": -10}), at=utc(2026, 5, 16, 12))

        april_usage, may_usage = (verify(subscription, number)["level"] for number in (0, 1))

        assert (april_usage.recounted.quantity, may_usage.recounted.quantity) == (15, 25)
        assert april_usage.is_right
        assert may_usage.is_right
        corrupt("UPDATE metering_usagerollup SET total = 60 WHERE total = 30")  # A rollup of April.
        assert not verify(subscription, 1)["level"].is_right

    def test_looks_at_meters_that_nobody_has_used(self) -> None:
        subscription = subscribe(plan=make_plan_of(EVERY), start_at=APRIL, at=APRIL)

        found = verify(subscription)

        assert list(found) == list(EVERY)
        assert {usage.recounted.event_count for usage in found.values()} == {0}
        assert all(usage.is_right for usage in found.values())

    @pytest.mark.parametrize(
        ("sql", "wrong"),
        [
            (
                "UPDATE metering_usagerollup SET total = total + 1",
                {"Sum", "Count", "Average", "WeightedSum", "level"},
            ),
            ("UPDATE metering_usagerollup SET late_total = 1", {"Sum", "Count"}),
            (
                "UPDATE metering_usagerollup SET lead_rank = lead_rank + 1e30, lead_value = lead_value + 1",
                {"Max", "Min", "Latest"},
            ),
            ("DELETE FROM metering_usagevalue", {"UniqueCount", "Percentile"}),
            ("DELETE FROM metering_usagerollup", {*EVERY, "level"}),
        ],
    )
    def test_finds_numbers_that_are_wrong(self, used: Subscription, sql: str, wrong: set[str]) -> None:
        corrupt(sql)

        found = verify(used, 1).values()

        assert {usage.meter.code for usage in found if usage.recounted != usage.rolled_up} >= wrong
        assert {usage.meter.code for usage in found if not usage.is_right} >= wrong

    def test_finds_rollups_that_are_wrong_though_their_sum_is_right(self, used: Subscription) -> None:
        corrupt("UPDATE metering_usagerollup SET hour_at = hour_at + interval '1 hour'")

        usage = verify(used, 1)["Sum"]

        assert usage.recounted == usage.rolled_up
        assert not usage.is_right
        assert len(usage.wrong) == 4  # Two hours that lack a rollup, two that have one too many.

    def test_refuses_what_is_archived(self, used: Subscription) -> None:
        archive = EventArchive.objects.create(
            number=1,
            format=ArchiveFormat.JSON_LINES,
            ended_by=MAY,
            file_name="1.jsonl.gz",
            manifest_name="1.json",
            created_at=JUNE,
        )
        for segment in get_period(used).segments.all():
            ArchivedSegment.objects.create(archive=archive, segment=segment, customer_id=used.customer_id)

        with pytest.raises(UsageArchived):
            verify(used)
        with pytest.raises(UsageArchived):
            verify(used, 1)  # Whose level begins with what April has left.


def explain(subscription: Subscription, number: int = 0) -> list[tuple[str, str | None, Any, str]]:
    """List events by the id that they were sent with, each with the meter, what it adds and why it does not."""
    explained = explain_events(subscription=subscription, period=get_period(subscription, number))
    return [
        (
            item.event.event_id,
            item.meter and item.meter.code,
            item.contribution and item.contribution.value,
            item.reason,
        )
        for item in explained
    ]


class TestExplainEvents:
    def test_says_what_each_adds_or_why_it_adds_nothing(self) -> None:
        meters = {
            "sum": define_meter(Aggregation.SUM),
            "some": define_meter(Aggregation.COUNT, filters=[FILTER]),
        }
        subscription = subscribe(plan=make_plan_of(meters), start_at=APRIL, at=APRIL)

        def write(day: int, name: str, **properties: object) -> dict[str, Any]:
            return {**write_upload(subscription, timestamp=april(day), **properties), "id": name}

        other = write_event(subscription, timestamp=april(6), id="other")
        ingest(
            write(2, "whole", size="2.50", region="eu"),
            write(3, "elsewhere", size=3, region="asia"),
            write(4, "lacking", region="us"),
            write(5, "void", size=5, region="eu"),
            other,
            at=april(7),
        )
        void_event(
            customer_id=subscription.customer_id, event_id="void", reason="No.", at=april(8), actor=TESTER
        )

        found = explain(subscription)

        filtered = "The filter does not hold: region In eu, us."
        assert sorted(found[:6], key=lambda row: (row[0], row[1])) == sorted(
            [
                ("whole", "sum", Decimal("2.5"), ""),
                ("whole", "some", Decimal(1), ""),
                ("elsewhere", "sum", Decimal(3), ""),
                ("elsewhere", "some", None, filtered),
                ("lacking", "sum", None, "It lacks the property."),
                ("lacking", "some", Decimal(1), ""),
            ],
            key=lambda row: (row[0], row[1]),
        )
        assert [row[0] for row in found[:6:2]] == ["whole", "elsewhere", "lacking"]
        assert found[6:] == [
            ("void", None, None, "It was taken back."),
            ("other", None, None, "The plan charges for no events of this type."),
        ]

    def test_says_in_which_period_an_event_is_billed_that_came_too_late(self, used: Subscription) -> None:
        (late,) = [row for row in explain(used) if "closed" in row[3]]

        assert late[1:] == (
            None,
            None,
            "It came when this period was closed: it is billed in period 1.",
        )
        assert (late[0], "Sum", Decimal(5), "") in explain(used, 1)

    def test_adds_up_to_the_number(self, used: Subscription) -> None:
        for number in (0, 1):
            added = sum(row[2] for row in explain(used, number) if row[1] == "Sum" and row[2] is not None)

            found = verify_usage(subscription=used, period=get_period(used, number), at=JUNE)
            assert added == sum(usage.recounted.quantity for usage in found if usage.meter.code == "Sum")


@pytest.mark.django_db(transaction=True)
class TestCommand:
    def run(self, *arguments: object) -> str:
        out = io.StringIO()
        call_command("verify_usage", *map(str, arguments), stdout=out, no_color=True)
        return out.getvalue()

    def test_explains_each_number(self, used: Subscription) -> None:
        said = self.run(used.pk, 1)

        assert (
            f"period 1 ({get_period(used, 1).pk}): 2026-05-01 00:00 to 2026-06-01 00:00 UTC, UTC, open"
            in said
        )
        assert "  Sum: Sum of size in upload, by region\n" in said
        assert "    rollups: 12 from 2 events, of it late 5\n" in said
        assert "    events:  12 from 2 events, of it late 5  equal\n" in said
        assert (
            "      region=eu: 5 from 1 events, of it late 5\n      region=(none): 7 from 1 events\n" in said
        )
        assert "  Percentile: Percentile 95 of size in upload, by region\n" in said
        assert "  level: WeightedSum of size in upload, by region, carried over\n" in said
        assert said.endswith("All 10 numbers are what the events add up to.\n")

    def test_takes_a_period_by_id_number_or_name(self, used: Subscription) -> None:
        last = get_period(used, 1)

        assert self.run(used.pk, last.pk) == self.run(used.pk, 1) == self.run(used.pk, "current")
        assert "period 0" in self.run(used.pk, "previous")

    def test_fails_and_says_which_rollups_are_wrong(self, used: Subscription) -> None:
        corrupt("UPDATE metering_usagerollup SET total = total + 1 WHERE late_count > 0 AND total = 5")
        out = io.StringIO()

        with pytest.raises(CommandError, match="of 10 numbers are not what the events add up to") as raised:
            call_command("verify_usage", str(used.pk), "1", stdout=out, no_color=True)

        assert raised.value.returncode == 1
        assert "    rollups: 13 from 2 events, of it late 5\n" in out.getvalue()
        assert "    events:  12 from 2 events, of it late 5  DIFFERENT\n" in out.getvalue()
        assert '    wrong: the rollup of 2026-05-01 00:00 UTC, group ["eu"]\n' in out.getvalue()

    def test_writes_events_to_a_table(self, used: Subscription, tmp_path: Path) -> None:
        path = tmp_path / "events.csv"

        assert f"rows about events are in {path}." in self.run(used.pk, 1, "--events", path)

        with path.open(newline="") as sheet:
            rows = [row for row in csv.DictReader(sheet) if row["meter"] == "Sum"]
        assert [(row["timestamp"], row["billed_at"], row["is_late"], row["value"]) for row in rows] == [
            ("2026-04-30T00:00:00Z", "2026-05-01T00:00:00Z", "true", "5"),
            ("2026-05-02T00:00:00Z", "2026-05-02T00:00:00Z", "false", "7"),
        ]
        assert [row["groups"] for row in rows] == ['{"region":"eu"}', '{"region":null}']

    def test_writes_events_to_json_lines(self, used: Subscription, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"

        self.run(used.pk, 0, "--events", path)

        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert sum(Decimal(row["value"]) for row in rows if row["meter"] == "Sum") == 920
        assert {row["reason"] for row in rows if row["meter"] is None} == {
            "It was taken back.",
            "It came when this period was closed: it is billed in period 1.",
        }

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((make_id(), "current"), "subscription"),
            (("used", "7"), "has no such period: 7"),
            (("used", "next"), "not a period: 'next'"),
            (("7", "current"), "invalid UUID value"),
            (("used", "1", "--events", "{missing}/a.csv"), "cannot be written"),
        ],
    )
    def test_refuses_what_there_is_not(
        self, used: Subscription, tmp_path: Path, arguments: tuple[object, ...], message: str
    ) -> None:
        given = [str(used.pk) if each == "used" else str(each) for each in arguments]

        with pytest.raises(CommandError, match=message):
            self.run(*[each.format(missing=tmp_path / "missing") for each in given])
