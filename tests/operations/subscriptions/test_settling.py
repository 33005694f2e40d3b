"""Leading a period from open over closed to settled."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from subscriptions.models import Period, Segment
from subscriptions.operations import (
    close_period,
    ensure_periods,
    reopen_settlement,
    set_period_due,
    settle_period,
)
from subscriptions.operations.settling import EarlierPeriodOpen, PeriodNotEnded
from tests.factories.core import NOON, TESTER
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

END = utc(2026, 3, 28)
CLOSED = END + timedelta(hours=1)


def make_periods(count: int) -> list[Period]:
    """Subscribe, and make the first few months."""
    subscription = subscribe()
    ensure_periods(subscription_ids=[subscription.pk], until=NOON + timedelta(days=31 * (count - 1)))
    periods = list(Period.objects.order_by("number"))
    assert len(periods) == count
    return periods


def close(period: Period, at: datetime = CLOSED) -> Period:
    return close_period(period_id=period.pk, at=at, actor=TESTER)


class TestClosePeriod:
    def test_sets_when_it_closed(self) -> None:
        (period,) = make_periods(1)

        closed = close(period)

        assert closed.closed_at == CLOSED
        period.refresh_from_db()
        assert period.closed_at == CLOSED
        assert not period.is_open
        assert period.settled_at is None
        assert period.due_at == NOON
        entry = AuditEntry.objects.get(action="period.closed")
        assert entry.subject_id == str(period.pk)
        assert entry.changes == {"closed_at": [None, "2026-03-28T01:00:00Z"]}

    def test_closes_at_the_very_end_where_staff_ask_for_it(self) -> None:
        (period,) = make_periods(1)

        assert close(period, at=END).closed_at == END

    def test_leaves_a_closed_period_as_it_is(self) -> None:
        (period,) = make_periods(1)
        close(period)

        again = close(period, at=CLOSED + timedelta(days=1))

        assert again.closed_at == CLOSED
        assert AuditEntry.objects.filter(action="period.closed").count() == 1

    def test_refuses_a_period_before_its_end(self) -> None:
        (period,) = make_periods(1)

        with pytest.raises(PeriodNotEnded):
            close(period, at=END - timedelta(microseconds=1))

        period.refresh_from_db()
        assert period.is_open

    def test_closes_in_order(self) -> None:
        first, second, third = make_periods(3)
        late = third.ends_at

        with pytest.raises(EarlierPeriodOpen):
            close(second, at=late)
        close(first, at=late)
        with pytest.raises(EarlierPeriodOpen):
            close(third, at=late)
        close(second, at=late)
        close(third, at=late)

        assert not Period.objects.filter(closed_at__isnull=True).exists()
        assert find_breaches() == []

    def test_refuses_an_unknown_period(self) -> None:
        with pytest.raises(NotFound):
            close_period(period_id=make_id(), at=NOON, actor=TESTER)

    @pytest.mark.django_db(transaction=True)
    def test_is_a_transaction_of_its_own(self) -> None:
        (period,) = make_periods(1)

        with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
            close(period)


class TestClosedPeriod:
    """What the database itself refuses."""

    @pytest.mark.parametrize(
        "values",
        [{"closed_at": None}, {"ends_at": END + timedelta(days=1)}, {"starts_at": NOON - timedelta(days=1)}],
    )
    def test_never_changes(self, values: dict[str, datetime | None]) -> None:
        (period,) = make_periods(1)
        close(period)

        with pytest.raises(IntegrityError, match="frozen"), transaction.atomic():
            Period.objects.filter(pk=period.pk).update(**values)

        period.refresh_from_db()
        assert (period.starts_at, period.ends_at, period.closed_at) == (NOON, END, CLOSED)

    @pytest.mark.parametrize("table", ["subscriptions_period", "subscriptions_segment"])
    def test_is_never_removed(self, table: str) -> None:
        (period,) = make_periods(1)
        close(period)

        with (
            pytest.raises(IntegrityError, match="frozen"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"DELETE FROM {table}")

    def test_keeps_its_segments(self) -> None:
        (period,) = make_periods(1)
        close(period)

        with pytest.raises(IntegrityError, match="frozen"), transaction.atomic():
            Segment.objects.filter(period=period).update(ends_at=END - timedelta(days=1))
        with pytest.raises(IntegrityError, match="frozen"), transaction.atomic():
            Segment.objects.create(
                period=period,
                subscription=period.subscription,
                plan_version=period.subscription.plan_version,
                position=1,
                starts_at=END,
                ends_at=END,
            )


class TestSetPeriodDue:
    def test_sets_the_next_instant(self) -> None:
        (period,) = make_periods(1)

        assert set_period_due(period_id=period.pk, due_at=END).due_at == END

        period.refresh_from_db()
        assert period.due_at == END

    def test_is_not_for_a_settled_period(self) -> None:
        (period,) = make_periods(1)
        close(period)
        settle_period(period_id=period.pk, at=CLOSED, actor=TESTER)

        with pytest.raises(AssertionError, match="settled"):
            set_period_due(period_id=period.pk, due_at=END)


class TestSettlePeriod:
    def test_leaves_nothing_due(self) -> None:
        (period,) = make_periods(1)
        close(period)

        settled = settle_period(period_id=period.pk, at=CLOSED, actor=TESTER)

        period.refresh_from_db()
        assert period.settled_at == settled.settled_at == CLOSED
        assert period.due_at is None
        entry = AuditEntry.objects.get(action="period.settled")
        assert entry.changes == {
            "settled_at": [None, "2026-03-28T01:00:00Z"],
            "due_at": ["2026-02-28T12:00:00Z", None],
        }

    def test_changes_nothing_the_second_time(self) -> None:
        (period,) = make_periods(1)
        close(period)
        settle_period(period_id=period.pk, at=CLOSED, actor=TESTER)

        again = settle_period(period_id=period.pk, at=CLOSED + timedelta(days=1), actor=TESTER)

        assert again.settled_at == CLOSED
        assert AuditEntry.objects.filter(action="period.settled").count() == 1

    def test_is_only_for_a_closed_period(self) -> None:
        (period,) = make_periods(1)

        with pytest.raises(AssertionError, match="open"):
            settle_period(period_id=period.pk, at=CLOSED, actor=TESTER)


class TestReopenSettlement:
    def test_makes_a_closed_period_due_and_leaves_it_closed(self) -> None:
        (period,) = make_periods(1)
        close(period)
        settle_period(period_id=period.pk, at=CLOSED, actor=TESTER)
        later = CLOSED + timedelta(days=3)

        reopen_settlement(period_id=period.pk, due_at=later, at=later, actor=TESTER)

        period.refresh_from_db()
        assert period.settled_at is None
        assert period.due_at == later
        assert period.closed_at == CLOSED
        assert AuditEntry.objects.filter(action="period.reopened").count() == 1

    def test_is_only_for_a_closed_period(self) -> None:
        (period,) = make_periods(1)

        with pytest.raises(AssertionError, match="open"):
            reopen_settlement(period_id=period.pk, due_at=NOON, at=NOON, actor=TESTER)
