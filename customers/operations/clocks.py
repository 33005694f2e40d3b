"""Operations on test clocks. A clock only moves when told to, and only forward.

What is due on the way is done by whoever drives the clock, between the beginning of an advance and its end.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict, InvalidInput
from billing_project.core.models import Mode
from customers.locks import lock_test_clock
from customers.models import ClockStatus, TestClock

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
# Each due instant on the way is worked off: a step of a few years is a long run, and of a century a mistake.
LONGEST_ADVANCE = timedelta(days=5 * 366)


class TestClockInLiveMode(Conflict):
    """Customers of a live install live by the real time."""

    __test__ = False  # Its name begins like a test class; pytest must not collect it.
    code = "test_clock_in_live_mode"


class ClockOutOfRange(InvalidInput):
    """The time is so far away that it can only be a mistake."""

    code = "clock_out_of_range"


class ClockOnlyMovesForward(InvalidInput):
    """What has been billed at a later time cannot be unbilled by going back."""

    code = "clock_only_moves_forward"


class ClockAdvancing(Conflict):
    """A clock goes to one time after the other."""

    code = "clock_advancing"


class ClockNotAdvancing(Conflict):
    """A clock that stands is moved by beginning to advance it."""

    code = "clock_not_advancing"


@transaction.atomic
def create_test_clock(*, name: str = "", now_at: datetime, at: datetime, actor: Actor) -> TestClock:
    """Make a test clock that stands at `now_at`.

    Raises: TestClockInLiveMode; ClockOutOfRange.
    """
    _check_mode()
    _check_range(now_at, field="now_at")
    clock = TestClock(name=name, now_at=now_at)
    clock.save(force_insert=True)
    changes = audit.made(clock, "name", "now_at", "status")
    audit.record("test_clock.created", subject=clock, changes=changes, actor=actor, at=at)
    return clock


@transaction.atomic
def begin_clock_advance(*, test_clock_id: UUID, to: datetime, at: datetime, actor: Actor) -> TestClock:
    """Set a clock on its way to a later time.

    Raises: NotFound; TestClockInLiveMode; ClockAdvancing; ClockOnlyMovesForward; ClockOutOfRange.
    Locks: test clock.
    """
    _check_mode()
    clock = lock_test_clock(test_clock_id)
    if clock.status != ClockStatus.READY:
        raise ClockAdvancing(f"The clock is on its way to {_format(clock.target_at)}.")
    if to <= clock.now_at:
        raise ClockOnlyMovesForward(f"The clock stands at {_format(clock.now_at)}.", field="to")
    _check_range(to, field="to")
    if to - clock.now_at > LONGEST_ADVANCE:
        raise ClockOutOfRange(f"A clock advances by at most {LONGEST_ADVANCE.days} days at once.", field="to")
    changes = audit.set_fields(clock, {"status": ClockStatus.ADVANCING, "target_at": to})
    clock.save(update_fields=changes)
    audit.record("test_clock.advance_begun", subject=clock, changes=changes, actor=actor, at=at)
    return clock


@transaction.atomic
def move_clock(*, test_clock_id: UUID, to: datetime, at: datetime, actor: Actor) -> TestClock:
    """Move an advancing clock to an instant on its way; a clock that has come so far already stays.

    Raises: NotFound; ClockNotAdvancing.
    Locks: test clock.
    """
    clock = lock_test_clock(test_clock_id)
    if to <= clock.now_at:
        return clock
    if clock.target_at is None:
        raise ClockNotAdvancing(f"The clock stands at {_format(clock.now_at)}.")
    assert to <= clock.target_at, f"{to} lies beyond the clock's target {clock.target_at}"
    changes = audit.set_fields(clock, {"now_at": to})
    clock.save(update_fields=changes)
    audit.record("test_clock.moved", subject=clock, changes=changes, actor=actor, at=at)
    return clock


@transaction.atomic
def finish_clock_advance(
    *, test_clock_id: UUID, target_at: datetime, at: datetime, actor: Actor
) -> TestClock:
    """Let a clock arrive at its target, where it stands and can be advanced again.

    A clock that is not on its way to just that target stays as it is: of two workers that drive it, the
    slower one must not take it to the end of a later advance.

    Raises: NotFound.
    Locks: test clock.
    """
    clock = lock_test_clock(test_clock_id)
    if clock.target_at != target_at:
        return clock
    values = {"status": ClockStatus.READY, "now_at": target_at, "target_at": None}
    changes = audit.set_fields(clock, values)
    clock.save(update_fields=changes)
    audit.record("test_clock.advance_finished", subject=clock, changes=changes, actor=actor, at=at)
    return clock


def _check_mode() -> None:
    if settings.BILLING_MODE == Mode.LIVE:
        raise TestClockInLiveMode("Test clocks exist in Test mode only.")


def _check_range(instant: datetime, *, field: str) -> None:
    if not EARLIEST <= instant < LATEST:
        raise ClockOutOfRange(
            f"A test clock lies between {_format(EARLIEST)} and {_format(LATEST)}.", field=field
        )


def _format(instant: datetime | None) -> str:
    assert instant is not None
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
