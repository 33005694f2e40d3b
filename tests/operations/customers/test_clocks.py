"""Test clocks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from customers.models import ClockStatus, TestClock
from customers.operations import begin_clock_advance, create_test_clock, finish_clock_advance, move_clock
from customers.operations.clocks import (
    LONGEST_ADVANCE,
    ClockAdvancing,
    ClockNotAdvancing,
    ClockOnlyMovesForward,
    ClockOutOfRange,
    TestClockInLiveMode,
)
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_test_clock

pytestmark = pytest.mark.django_db

MONTH = timedelta(days=31)
REAL = datetime(2026, 11, 24, tzinfo=UTC)


def begin(clock: TestClock, to: datetime) -> TestClock:
    return begin_clock_advance(test_clock_id=clock.pk, to=to, at=REAL, actor=TESTER)


def move(clock: TestClock, to: datetime) -> TestClock:
    return move_clock(test_clock_id=clock.pk, to=to, at=REAL, actor=TESTER)


def finish(clock: TestClock, target_at: datetime) -> TestClock:
    return finish_clock_advance(test_clock_id=clock.pk, target_at=target_at, at=REAL, actor=TESTER)


def read(clock: TestClock) -> tuple[datetime, str, datetime | None]:
    clock.refresh_from_db()
    return clock.now_at, clock.status, clock.target_at


class TestCreateTestClock:
    def test_stands_where_it_is_told(self) -> None:
        clock = create_test_clock(name="February", now_at=NOON, at=REAL, actor=TESTER)

        assert read(clock) == (NOON, ClockStatus.READY, None)
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.subject_id, entry.occurred_at) == (
            "test_clock.created",
            str(clock.pk),
            REAL,
        )
        assert entry.changes == {
            "name": [None, "February"],
            "now_at": [None, "2026-02-28T12:00:00Z"],
            "status": [None, "Ready"],
        }

    def test_refuses_live_mode(self, settings: Any) -> None:
        settings.BILLING_MODE = "Live"

        with pytest.raises(TestClockInLiveMode):
            make_test_clock()

        assert not TestClock.objects.exists()

    @pytest.mark.parametrize(
        "now_at",
        [datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)],
    )
    def test_refuses_a_time_far_away(self, now_at: datetime) -> None:
        with pytest.raises(ClockOutOfRange) as caught:
            make_test_clock(now_at=now_at)

        assert [error.field for error in caught.value.errors] == ["now_at"]
        assert not TestClock.objects.exists()


class TestBeginClockAdvance:
    def test_sets_the_clock_on_its_way(self) -> None:
        clock = make_test_clock(now_at=NOON)

        begin(clock, NOON + MONTH)

        assert read(clock) == (NOON, ClockStatus.ADVANCING, NOON + MONTH)
        entry = AuditEntry.objects.get(action="test_clock.advance_begun")
        assert entry.changes == {
            "status": ["Ready", "Advancing"],
            "target_at": [None, "2026-03-31T12:00:00Z"],
        }

    @pytest.mark.parametrize("back", [timedelta(0), timedelta(microseconds=1), MONTH])
    def test_refuses_to_stand_still_or_go_back(self, back: timedelta) -> None:
        clock = make_test_clock(now_at=NOON)

        with pytest.raises(ClockOnlyMovesForward) as caught:
            begin(clock, NOON - back)

        assert [error.field for error in caught.value.errors] == ["to"]
        assert read(clock) == (NOON, ClockStatus.READY, None)

    def test_refuses_a_clock_on_its_way(self) -> None:
        clock = make_test_clock(now_at=NOON)
        begin(clock, NOON + MONTH)

        with pytest.raises(ClockAdvancing):
            begin(clock, NOON + 2 * MONTH)

        assert read(clock) == (NOON, ClockStatus.ADVANCING, NOON + MONTH)

    def test_goes_a_few_years_and_no_further(self) -> None:
        clock = make_test_clock(now_at=NOON)

        with pytest.raises(ClockOutOfRange):
            begin(clock, NOON + LONGEST_ADVANCE + timedelta(microseconds=1))
        begin(clock, NOON + LONGEST_ADVANCE)

        assert read(clock) == (NOON, ClockStatus.ADVANCING, NOON + LONGEST_ADVANCE)

    def test_never_leaves_the_range_of_clocks(self) -> None:
        clock = make_test_clock(now_at=datetime(2099, 12, 31, tzinfo=UTC))

        with pytest.raises(ClockOutOfRange):
            begin(clock, datetime(2100, 1, 1, tzinfo=UTC))

    def test_refuses_live_mode(self, settings: Any) -> None:
        clock = make_test_clock(now_at=NOON)
        settings.BILLING_MODE = "Live"

        with pytest.raises(TestClockInLiveMode):
            begin(clock, NOON + MONTH)

    def test_refuses_an_unknown_clock(self) -> None:
        with pytest.raises(NotFound):
            begin_clock_advance(test_clock_id=make_id(), to=NOON, at=REAL, actor=TESTER)


class TestMoveClock:
    def test_moves_a_clock_on_its_way(self) -> None:
        clock = make_test_clock(now_at=NOON)
        begin(clock, NOON + MONTH)

        move(clock, NOON + timedelta(days=1))

        assert read(clock) == (NOON + timedelta(days=1), ClockStatus.ADVANCING, NOON + MONTH)
        entry = AuditEntry.objects.get(action="test_clock.moved")
        assert entry.changes == {"now_at": ["2026-02-28T12:00:00Z", "2026-03-01T12:00:00Z"]}

    def test_never_moves_back(self) -> None:
        clock = make_test_clock(now_at=NOON)
        begin(clock, NOON + MONTH)
        move(clock, NOON + timedelta(days=2))

        move(clock, NOON + timedelta(days=1))

        assert read(clock)[0] == NOON + timedelta(days=2)
        assert AuditEntry.objects.filter(action="test_clock.moved").count() == 1

    def test_leaves_a_clock_that_has_arrived_to_whoever_was_slower(self) -> None:
        clock = make_test_clock(now_at=NOON)
        begin(clock, NOON + MONTH)
        finish(clock, NOON + MONTH)

        move(clock, NOON + timedelta(days=1))

        assert read(clock) == (NOON + MONTH, ClockStatus.READY, None)

    def test_refuses_to_move_a_clock_that_stands(self) -> None:
        clock = make_test_clock(now_at=NOON)

        with pytest.raises(ClockNotAdvancing):
            move(clock, NOON + timedelta(days=1))

        assert read(clock) == (NOON, ClockStatus.READY, None)

    def test_never_passes_the_target(self) -> None:
        clock = make_test_clock(now_at=NOON)
        begin(clock, NOON + MONTH)

        with pytest.raises(AssertionError, match="beyond the clock's target"):
            move(clock, NOON + MONTH + timedelta(seconds=1))


class TestFinishClockAdvance:
    def test_arrives_at_the_target(self) -> None:
        clock = make_test_clock(now_at=NOON)
        begin(clock, NOON + MONTH)
        move(clock, NOON + timedelta(days=1))

        finish(clock, NOON + MONTH)

        assert read(clock) == (NOON + MONTH, ClockStatus.READY, None)
        entry = AuditEntry.objects.get(action="test_clock.advance_finished")
        assert entry.changes == {
            "status": ["Advancing", "Ready"],
            "now_at": ["2026-03-01T12:00:00Z", "2026-03-31T12:00:00Z"],
            "target_at": ["2026-03-31T12:00:00Z", None],
        }

    def test_can_be_done_twice(self) -> None:
        clock = make_test_clock(now_at=NOON)
        begin(clock, NOON + MONTH)
        finish(clock, NOON + MONTH)

        finish(clock, NOON + MONTH)

        assert read(clock) == (NOON + MONTH, ClockStatus.READY, None)
        assert AuditEntry.objects.filter(action="test_clock.advance_finished").count() == 1

    def test_does_not_end_a_later_advance(self) -> None:
        clock = make_test_clock(now_at=NOON)
        begin(clock, NOON + MONTH)
        finish(clock, NOON + MONTH)
        begin(clock, NOON + 2 * MONTH)

        finish(clock, NOON + MONTH)

        assert read(clock) == (NOON + MONTH, ClockStatus.ADVANCING, NOON + 2 * MONTH)


class TestDatabase:
    @pytest.mark.parametrize(("status", "target_at"), [("Ready", NOON), ("Advancing", None)])
    def test_refuses_a_target_without_a_way_and_a_way_without_a_target(
        self, status: str, target_at: datetime | None
    ) -> None:
        with (
            pytest.raises(IntegrityError, match="testclock_has_a_target_iff_advancing"),
            transaction.atomic(),
        ):
            TestClock.objects.create(now_at=NOON, status=status, target_at=target_at)
