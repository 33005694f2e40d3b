"""Schedules of several epochs: other periods from an instant on, another time zone from the next period on."""

from datetime import UTC, date, datetime

import pytest

from subscriptions.schedule import AnchorMode, Cadence, Epoch, Schedule

DENVER = "America/Denver"
KOLKATA = "Asia/Kolkata"
PAGO_PAGO = "Pacific/Pago_Pago"
KIRITIMATI = "Pacific/Kiritimati"


def utc(text: str) -> datetime:
    """Read an instant written without its Z."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def begin(
    cadence: Cadence,
    starts_at: str,
    *,
    anchor_mode: AnchorMode = AnchorMode.ANNIVERSARY,
    timezone: str = "UTC",
    trial_days: int = 0,
) -> Schedule:
    """Begin a schedule."""
    return Schedule.begin(
        cadence=cadence,
        anchor_mode=anchor_mode,
        starts_at=utc(starts_at),
        timezone=timezone,
        trial_days=trial_days,
    )


def change(
    schedule: Schedule, cadence: Cadence, at: str, anchor_mode: AnchorMode = AnchorMode.ANNIVERSARY
) -> Schedule:
    """Have other periods begin."""
    return schedule.change_cadence(cadence=cadence, anchor_mode=anchor_mode, at=utc(at))


def list_bounds(schedule: Schedule, count: int) -> list[tuple[str, str]]:
    """List the bounds of the first few periods, to the minute."""
    periods = [schedule.period(index) for index in range(count)]
    return [(f"{period.starts_at:%Y-%m-%dT%H:%M}", f"{period.ends_at:%Y-%m-%dT%H:%M}") for period in periods]


class TestChangeCadence:
    def test_ends_the_period_and_counts_on(self) -> None:
        monthly = begin(Cadence.MONTHLY, "2026-01-31T10:00")

        changed = change(monthly, Cadence.ANNUAL, "2026-03-10T15:30")

        assert list_bounds(changed, 4) == [
            ("2026-01-31T10:00", "2026-02-28T00:00"),
            ("2026-02-28T00:00", "2026-03-10T15:30"),
            ("2026-03-10T15:30", "2027-03-10T00:00"),
            ("2027-03-10T00:00", "2028-03-10T00:00"),
        ]
        cut = changed.period(1)
        assert (cut.nominal_starts_at, cut.nominal_ends_at) == (
            utc("2026-02-28T00:00"),
            utc("2026-03-31T00:00"),
        )

    def test_makes_a_stub_of_a_calendar_period(self) -> None:
        changed = change(
            begin(Cadence.MONTHLY, "2026-01-15T10:00"),
            Cadence.QUARTERLY,
            "2026-02-20T12:00",
            AnchorMode.CALENDAR,
        )

        stub = changed.period(2)
        assert (stub.starts_at, stub.ends_at) == (utc("2026-02-20T12:00"), utc("2026-04-01T00:00"))
        assert (stub.nominal_starts_at, stub.nominal_ends_at) == (
            utc("2026-01-01T00:00"),
            utc("2026-04-01T00:00"),
        )
        assert changed.period(3).ends_at == utc("2026-07-01T00:00")

    def test_takes_the_place_of_a_period_at_whose_start_it_comes(self) -> None:
        changed = change(begin(Cadence.MONTHLY, "2026-01-31T10:00"), Cadence.WEEKLY, "2026-02-28T00:00")

        assert list_bounds(changed, 3) == [
            ("2026-01-31T10:00", "2026-02-28T00:00"),
            ("2026-02-28T00:00", "2026-03-07T00:00"),
            ("2026-03-07T00:00", "2026-03-14T00:00"),
        ]

    def test_takes_the_place_of_an_epoch_at_whose_start_it_comes(self) -> None:
        once = change(begin(Cadence.MONTHLY, "2026-01-31T10:00"), Cadence.WEEKLY, "2026-02-10T09:00")

        twice = change(once, Cadence.ANNUAL, "2026-02-10T09:00")

        assert len(twice.epochs) == 2
        assert list_bounds(twice, 2)[1] == ("2026-02-10T09:00", "2027-02-10T00:00")

    @pytest.mark.parametrize("at", ["2026-01-31T10:00", "2026-02-05T12:00", "2026-02-13T23:59"])
    def test_lets_a_trial_go_on_to_its_end(self, at: str) -> None:
        trial = begin(Cadence.MONTHLY, "2026-01-31T10:00", trial_days=14)

        changed = change(trial, Cadence.WEEKLY, at)

        assert changed.period(0) == trial.period(0)
        assert changed.trial_ends_at == utc("2026-02-15T00:00")
        assert list_bounds(changed, 2)[1] == ("2026-02-15T00:00", "2026-02-22T00:00")

    def test_begins_with_the_other_periods_what_has_not_begun(self) -> None:
        changed = change(begin(Cadence.MONTHLY, "2026-01-31T10:00"), Cadence.WEEKLY, "2026-01-01T00:00")

        assert changed == begin(Cadence.WEEKLY, "2026-01-31T10:00")

    @pytest.mark.parametrize(
        "at", ["2026-01-01T00:00", "2026-01-31T10:00", "2026-02-03T00:00", "2026-03-10T00:00"]
    )
    def test_is_nothing_where_the_cadence_and_the_kind_of_anchor_stay(self, at: str) -> None:
        schedule = begin(Cadence.MONTHLY, "2026-01-31T10:00", trial_days=14)

        assert change(schedule, Cadence.MONTHLY, at) == schedule
        assert change(schedule, Cadence.MONTHLY, at, AnchorMode.CALENDAR) != schedule

    def test_can_be_made_twice_within_a_trial(self) -> None:
        trial = begin(Cadence.MONTHLY, "2026-01-31T10:00", trial_days=14)

        twice = change(change(trial, Cadence.WEEKLY, "2026-02-02T00:00"), Cadence.ANNUAL, "2026-02-03T00:00")

        assert list_bounds(twice, 2)[1] == ("2026-02-15T00:00", "2027-02-15T00:00")

    def test_begins_a_daily_period_that_is_never_short(self) -> None:
        changed = change(begin(Cadence.MONTHLY, "2026-01-31T10:00"), Cadence.DAILY, "2026-02-10T09:00")

        assert list_bounds(changed, 3)[1:] == [
            ("2026-02-10T09:00", "2026-02-12T00:00"),
            ("2026-02-12T00:00", "2026-02-13T00:00"),
        ]


class TestChangeTimezone:
    def test_applies_from_the_next_period_on(self) -> None:
        moved = begin(Cadence.MONTHLY, "2026-01-31T10:00").change_timezone(
            timezone=KOLKATA, at=utc("2026-02-10T00:00")
        )

        assert list_bounds(moved, 4) == [
            ("2026-01-31T10:00", "2026-02-28T00:00"),
            ("2026-02-28T00:00", "2026-03-30T18:30"),  # Midnight of the 31st in Kolkata.
            ("2026-03-30T18:30", "2026-04-29T18:30"),
            ("2026-04-29T18:30", "2026-05-30T18:30"),
        ]
        first = moved.period(1)
        assert first.nominal_starts_at == utc("2026-02-27T18:30")

    def test_makes_the_first_period_longer_to_the_west(self) -> None:
        moved = begin(Cadence.MONTHLY, "2026-01-31T10:00").change_timezone(
            timezone=DENVER, at=utc("2026-02-28T00:00")
        )

        assert list_bounds(moved, 3)[1:] == [
            ("2026-02-28T00:00", "2026-03-31T06:00"),
            ("2026-03-31T06:00", "2026-04-30T06:00"),
        ]
        # The 27th in Denver, in whose evening it begins, counts as one of its days.
        assert moved.period(1).nominal_starts_at == utc("2026-02-27T07:00")

    def test_keeps_the_anchor_after_several(self) -> None:
        schedule = begin(Cadence.MONTHLY, "2026-01-31T10:00")
        for month, timezone in enumerate([KOLKATA, DENVER, PAGO_PAGO, "UTC"], start=2):
            schedule = schedule.change_timezone(timezone=timezone, at=utc(f"2026-0{month}-10T00:00"))

        assert {epoch.anchor_date for epoch in schedule.epochs} == {date(2026, 1, 31)}
        assert schedule.period(6).ends_at == utc("2026-08-31T00:00")

    @pytest.mark.parametrize("at", ["2026-01-01T00:00", "2026-01-31T10:00", "2026-02-01T00:00"])
    def test_waits_for_the_end_of_a_trial(self, at: str) -> None:
        moved = begin(Cadence.MONTHLY, "2026-01-31T10:00", trial_days=14).change_timezone(
            timezone=KOLKATA, at=utc(at)
        )

        assert list_bounds(moved, 3) == [
            ("2026-01-31T10:00", "2026-02-15T00:00"),
            ("2026-02-15T00:00", "2026-03-14T18:30"),
            ("2026-03-14T18:30", "2026-04-14T18:30"),
        ]

    def test_leaves_no_day_without_length(self) -> None:
        """At midnight in Pago Pago it is the next day's second hour on Kiritimati."""
        moved = begin(Cadence.DAILY, "2026-03-02T11:00", timezone=PAGO_PAGO).change_timezone(
            timezone=KIRITIMATI, at=utc("2026-03-04T00:00")
        )

        assert list_bounds(moved, 4) == [
            ("2026-03-02T11:00", "2026-03-03T11:00"),
            ("2026-03-03T11:00", "2026-03-04T11:00"),
            ("2026-03-04T11:00", "2026-03-05T10:00"),
            ("2026-03-05T10:00", "2026-03-06T10:00"),
        ]


class TestPlain:
    def test_is_read_as_it_was_written(self) -> None:
        schedule = change(
            begin(Cadence.MONTHLY, "2026-01-31T10:00", trial_days=3), Cadence.WEEKLY, "2026-03-10T09:00"
        ).change_timezone(timezone=KOLKATA, at=utc("2026-03-20T00:00"))

        plain = schedule.to_plain()

        assert plain[0] == {
            "cadence": "Monthly",
            "anchor_mode": "Anniversary",
            "anchor_date": "2026-02-04",
            "starts_at": "2026-01-31T10:00:00+00:00",
            "timezone": "UTC",
            "trial_days": 3,
            "first_number": 0,
            "passed_count": 0,
        }
        assert len(plain) == 3
        assert Schedule.from_plain(plain) == schedule


class TestInit:
    def test_refuses_epochs_that_share_a_number(self) -> None:
        (epoch,) = begin(Cadence.MONTHLY, "2026-01-31T10:00").epochs

        with pytest.raises(AssertionError, match="no number of its own"):
            Schedule((epoch, epoch))

    def test_refuses_a_trial_after_boundaries(self) -> None:
        with pytest.raises(AssertionError, match="before all boundaries"):
            Epoch(
                cadence=Cadence.DAILY,
                anchor_mode=AnchorMode.ANNIVERSARY,
                anchor_date=date(2026, 1, 1),
                starts_at=utc("2026-01-01T00:00"),
                timezone="UTC",
                trial_days=1,
                passed_count=1,
            )
