from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from catalog.models import Anchor, BillingCadence
from subscriptions.schedule import AnchorMode, Cadence, Epoch, InstantBeforeStart, Schedule, ScheduledPeriod

APIA = "Pacific/Apia"
DENVER = "America/Denver"
KOLKATA = "Asia/Kolkata"


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


def list_boundaries(schedule: Schedule, count: int) -> list[datetime]:
    """List the start of the first period and the ends of the first few."""
    return [schedule.period(0).starts_at, *(schedule.period(index).ends_at for index in range(count))]


class TestCadence:
    def test_is_that_of_the_catalogue(self) -> None:
        assert [cadence.value for cadence in Cadence] == BillingCadence.values


class TestAnchorMode:
    def test_is_that_of_the_catalogue(self) -> None:
        assert [mode.value for mode in AnchorMode] == Anchor.values


class TestBegin:
    @pytest.mark.parametrize(
        ("cadence", "anchor_mode", "anchor_date"),
        [
            (Cadence.DAILY, AnchorMode.ANNIVERSARY, date(2026, 5, 21)),
            (Cadence.WEEKLY, AnchorMode.ANNIVERSARY, date(2026, 5, 20)),
            (Cadence.MONTHLY, AnchorMode.ANNIVERSARY, date(2026, 5, 20)),
            (Cadence.ANNUAL, AnchorMode.ANNIVERSARY, date(2026, 5, 20)),
            (Cadence.DAILY, AnchorMode.CALENDAR, date(2026, 5, 21)),
            (Cadence.WEEKLY, AnchorMode.CALENDAR, date(2026, 5, 18)),
            (Cadence.MONTHLY, AnchorMode.CALENDAR, date(2026, 5, 1)),
            (Cadence.QUARTERLY, AnchorMode.CALENDAR, date(2026, 4, 1)),
            (Cadence.SEMI_ANNUAL, AnchorMode.CALENDAR, date(2026, 1, 1)),
            (Cadence.ANNUAL, AnchorMode.CALENDAR, date(2026, 1, 1)),
        ],
    )
    def test_is_anchored(self, cadence: Cadence, anchor_mode: AnchorMode, anchor_date: date) -> None:
        epoch = Epoch(
            cadence=cadence,
            anchor_mode=anchor_mode,
            anchor_date=anchor_date,
            starts_at=utc("2026-05-20T15:00"),
            timezone="UTC",
        )

        assert begin(cadence, "2026-05-20T15:00", anchor_mode=anchor_mode) == Schedule((epoch,))

    @pytest.mark.parametrize(
        ("anchor_mode", "anchor_date"),
        [(AnchorMode.ANNIVERSARY, date(2026, 6, 4)), (AnchorMode.CALENDAR, date(2026, 6, 1))],
    )
    def test_is_anchored_to_the_trials_end(self, anchor_mode: AnchorMode, anchor_date: date) -> None:
        schedule = begin(Cadence.MONTHLY, "2026-05-20T15:00", anchor_mode=anchor_mode, trial_days=14)

        (epoch,) = schedule.epochs
        assert epoch.anchor_date == anchor_date
        assert epoch.trial_days == 14

    def test_is_anchored_to_the_local_date(self) -> None:
        assert begin(Cadence.MONTHLY, "2026-05-20T20:00", timezone=KOLKATA).epochs[0].anchor_date == date(
            2026, 5, 21
        )
        assert begin(Cadence.MONTHLY, "2026-05-20T03:00", timezone=DENVER).epochs[0].anchor_date == date(
            2026, 5, 19
        )

    def test_keeps_its_start_in_utc(self) -> None:
        schedule = Schedule.begin(
            cadence=Cadence.MONTHLY,
            anchor_mode=AnchorMode.ANNIVERSARY,
            starts_at=datetime(2026, 5, 20, 23, 0, tzinfo=timezone(timedelta(hours=-6))),
            timezone="UTC",
        )

        assert schedule.starts_at.isoformat() == "2026-05-21T05:00:00+00:00"
        assert schedule.epochs[0].anchor_date == date(2026, 5, 21)


class TestInit:
    @pytest.mark.parametrize(
        ("starts_at", "trial_days", "message"),
        [
            (datetime(2026, 5, 20), 0, "kept in UTC"),  # noqa: DTZ001  What is refused.
            (datetime(2026, 5, 20, tzinfo=timezone(timedelta(hours=1))), 0, "kept in UTC"),
            (datetime(2026, 5, 20, tzinfo=UTC), -1, "trial of -1 days"),
        ],
    )
    def test_refuses(self, starts_at: datetime, trial_days: int, message: str) -> None:
        with pytest.raises(AssertionError, match=message):
            Epoch(
                cadence=Cadence.DAILY,
                anchor_mode=AnchorMode.ANNIVERSARY,
                anchor_date=date(2026, 5, 20),
                starts_at=starts_at,
                timezone="UTC",
                trial_days=trial_days,
            )


class TestPeriodWithoutTrial:
    @pytest.mark.parametrize(
        ("cadence", "starts_at", "ends_at"),
        [
            (
                Cadence.WEEKLY,
                "2026-01-15T10:00",
                ["2026-01-22T00:00", "2026-01-29T00:00", "2026-02-05T00:00"],
            ),
            (Cadence.MONTHLY, "2026-01-15T10:00", ["2026-02-15T00:00", "2026-03-15T00:00"]),
            (
                Cadence.MONTHLY,
                "2026-01-31T10:00",
                ["2026-02-28T00:00", "2026-03-31T00:00", "2026-04-30T00:00", "2026-05-31T00:00"],
            ),
            (Cadence.MONTHLY, "2028-01-30T00:00", ["2028-02-29T00:00", "2028-03-30T00:00"]),
            (
                Cadence.QUARTERLY,
                "2026-11-30T10:00",
                ["2027-02-28T00:00", "2027-05-30T00:00", "2027-08-30T00:00"],
            ),
            (Cadence.SEMI_ANNUAL, "2026-08-31T10:00", ["2027-02-28T00:00", "2027-08-31T00:00"]),
            (
                Cadence.ANNUAL,
                "2024-02-29T10:00",
                ["2025-02-28T00:00", "2026-02-28T00:00", "2027-02-28T00:00", "2028-02-29T00:00"],
            ),
        ],
    )
    def test_follows_the_anniversary(self, cadence: Cadence, starts_at: str, ends_at: list[str]) -> None:
        schedule = begin(cadence, starts_at)

        assert list_boundaries(schedule, len(ends_at)) == [utc(text) for text in (starts_at, *ends_at)]

    @pytest.mark.parametrize("anchor_mode", AnchorMode)
    @pytest.mark.parametrize(
        ("starts_at", "ends_at"),
        [
            ("2026-05-20T15:00", ["2026-05-22T00:00", "2026-05-23T00:00", "2026-05-24T00:00"]),
            ("2026-05-20T00:00", ["2026-05-21T00:00", "2026-05-22T00:00"]),
            ("2026-05-20T00:00:00.000001", ["2026-05-22T00:00", "2026-05-23T00:00"]),
            ("2026-05-20T23:59:59", ["2026-05-22T00:00", "2026-05-23T00:00"]),
        ],
    )
    def test_runs_to_the_second_midnight_if_daily(
        self, anchor_mode: AnchorMode, starts_at: str, ends_at: list[str]
    ) -> None:
        schedule = begin(Cadence.DAILY, starts_at, anchor_mode=anchor_mode)

        assert list_boundaries(schedule, len(ends_at)) == [utc(text) for text in (starts_at, *ends_at)]

    @pytest.mark.parametrize(
        ("cadence", "starts_at", "ends_at"),
        [
            (Cadence.WEEKLY, "2026-05-20T15:00", ["2026-05-25T00:00", "2026-06-01T00:00"]),
            (Cadence.WEEKLY, "2026-05-18T00:00", ["2026-05-25T00:00", "2026-06-01T00:00"]),
            (Cadence.MONTHLY, "2026-01-31T23:00", ["2026-02-01T00:00", "2026-03-01T00:00"]),
            (Cadence.MONTHLY, "2026-02-01T00:00", ["2026-03-01T00:00", "2026-04-01T00:00"]),
            (Cadence.MONTHLY, "2026-12-15T00:00", ["2027-01-01T00:00", "2027-02-01T00:00"]),
            (Cadence.QUARTERLY, "2026-05-20T15:00", ["2026-07-01T00:00", "2026-10-01T00:00"]),
            (Cadence.SEMI_ANNUAL, "2026-07-01T15:00", ["2027-01-01T00:00", "2027-07-01T00:00"]),
            (Cadence.ANNUAL, "2026-05-20T15:00", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ],
    )
    def test_follows_the_calendar_after_a_stub(
        self, cadence: Cadence, starts_at: str, ends_at: list[str]
    ) -> None:
        schedule = begin(cadence, starts_at, anchor_mode=AnchorMode.CALENDAR)

        assert list_boundaries(schedule, len(ends_at)) == [utc(text) for text in (starts_at, *ends_at)]

    @pytest.mark.parametrize(
        ("cadence", "anchor_mode", "nominal_starts_at"),
        [
            (Cadence.DAILY, AnchorMode.ANNIVERSARY, "2026-05-20T00:00"),
            (Cadence.MONTHLY, AnchorMode.ANNIVERSARY, "2026-05-20T00:00"),
            (Cadence.DAILY, AnchorMode.CALENDAR, "2026-05-20T00:00"),
            (Cadence.WEEKLY, AnchorMode.CALENDAR, "2026-05-18T00:00"),
            (Cadence.MONTHLY, AnchorMode.CALENDAR, "2026-05-01T00:00"),
            (Cadence.QUARTERLY, AnchorMode.CALENDAR, "2026-04-01T00:00"),
            (Cadence.ANNUAL, AnchorMode.CALENDAR, "2026-01-01T00:00"),
        ],
    )
    def test_has_the_full_period_as_nominal_bounds(
        self, cadence: Cadence, anchor_mode: AnchorMode, nominal_starts_at: str
    ) -> None:
        first = begin(cadence, "2026-05-20T15:00", anchor_mode=anchor_mode).period(0)

        assert first.nominal_starts_at == utc(nominal_starts_at)
        assert first.nominal_ends_at == first.ends_at

    def test_is_whole_in_every_field(self) -> None:
        assert begin(Cadence.MONTHLY, "2026-01-31T10:00").period(1) == ScheduledPeriod(
            index=1,
            starts_at=utc("2026-02-28T00:00"),
            ends_at=utc("2026-03-31T00:00"),
            nominal_starts_at=utc("2026-02-28T00:00"),
            nominal_ends_at=utc("2026-03-31T00:00"),
            is_trial=False,
            timezone="UTC",
        )

    def test_is_found_at_once_however_late(self) -> None:
        assert begin(Cadence.DAILY, "1970-01-01T00:00").period(50_000).starts_at == utc("2106-11-24T00:00")
        assert begin(Cadence.MONTHLY, "2000-01-31T00:00").period(7_201).starts_at == utc("2600-02-28T00:00")

    def test_refuses_a_negative_number(self) -> None:
        with pytest.raises(AssertionError, match="numbered from 0"):
            begin(Cadence.MONTHLY, "2026-01-31T10:00").period(-1)


class TestPeriodWithTrial:
    def test_is_the_trial_first(self) -> None:
        schedule = begin(Cadence.MONTHLY, "2026-02-14T14:00", trial_days=14)

        assert schedule.period(0) == ScheduledPeriod(
            index=0,
            starts_at=utc("2026-02-14T14:00"),
            ends_at=utc("2026-03-01T00:00"),
            nominal_starts_at=utc("2026-02-14T00:00"),
            nominal_ends_at=utc("2026-03-01T00:00"),
            is_trial=True,
            timezone="UTC",
        )
        assert [schedule.period(index).ends_at for index in (1, 2)] == [
            utc("2026-04-01T00:00"),
            utc("2026-05-01T00:00"),
        ]
        assert [schedule.period(index).is_trial for index in range(3)] == [True, False, False]
        assert [schedule.period(index).index for index in range(3)] == [0, 1, 2]

    @pytest.mark.parametrize(
        ("starts_at", "timezone", "trial_days", "trial_ends_at"),
        [
            ("2026-02-14T00:00", "UTC", 14, "2026-02-28T00:00"),
            ("2026-02-14T00:00:01", "UTC", 14, "2026-03-01T00:00"),
            ("2026-02-14T23:59", "UTC", 1, "2026-02-16T00:00"),
            ("2026-02-14T18:30", KOLKATA, 14, "2026-02-28T18:30"),
            ("2026-02-14T18:31", KOLKATA, 14, "2026-03-01T18:30"),
            # From midnight to midnight these are 24 hours less one, so that the trial goes on to the next.
            ("2026-03-08T07:00", DENVER, 1, "2026-03-10T06:00"),
            # ... and these are 24 hours and one.
            ("2026-11-01T06:00", DENVER, 1, "2026-11-02T07:00"),
            ("2011-12-28T12:00", APIA, 1, "2011-12-30T10:00"),
            ("2011-12-29T12:00", APIA, 1, "2011-12-31T10:00"),
        ],
    )
    def test_ends_at_a_midnight_after_all_its_hours(
        self, starts_at: str, timezone: str, trial_days: int, trial_ends_at: str
    ) -> None:
        trial = begin(Cadence.MONTHLY, starts_at, timezone=timezone, trial_days=trial_days).period(0)

        assert trial.ends_at == utc(trial_ends_at)
        assert trial.ends_at - trial.starts_at >= timedelta(days=trial_days)

    @pytest.mark.parametrize(
        ("cadence", "anchor_mode", "boundaries"),
        [
            (Cadence.DAILY, AnchorMode.ANNIVERSARY, ["2026-02-01T00:00", "2026-02-02T00:00"]),
            (Cadence.MONTHLY, AnchorMode.ANNIVERSARY, ["2026-02-28T00:00", "2026-03-31T00:00"]),
            (Cadence.DAILY, AnchorMode.CALENDAR, ["2026-02-01T00:00", "2026-02-02T00:00"]),
            (Cadence.WEEKLY, AnchorMode.CALENDAR, ["2026-02-02T00:00", "2026-02-09T00:00"]),
            (Cadence.MONTHLY, AnchorMode.CALENDAR, ["2026-02-01T00:00", "2026-03-01T00:00"]),
            (Cadence.ANNUAL, AnchorMode.CALENDAR, ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ],
    )
    def test_is_followed_by_periods_from_its_end(
        self, cadence: Cadence, anchor_mode: AnchorMode, boundaries: list[str]
    ) -> None:
        schedule = begin(cadence, "2026-01-17T00:00", anchor_mode=anchor_mode, trial_days=14)

        assert list_boundaries(schedule, 3)[1:] == [utc(text) for text in ("2026-01-31T00:00", *boundaries)]

    def test_has_a_stub_with_the_calendars_nominal_bounds_after_it(self) -> None:
        schedule = begin(Cadence.MONTHLY, "2026-01-17T00:00", anchor_mode=AnchorMode.CALENDAR, trial_days=7)

        stub = schedule.period(1)

        assert (stub.starts_at, stub.ends_at) == (utc("2026-01-24T00:00"), utc("2026-02-01T00:00"))
        assert (stub.nominal_starts_at, stub.nominal_ends_at) == (
            utc("2026-01-01T00:00"),
            utc("2026-02-01T00:00"),
        )


class TestPeriodInATimezone:
    def test_keeps_to_local_midnights_through_both_changes_of_the_clock(self) -> None:
        schedule = begin(Cadence.MONTHLY, "2026-02-15T18:00", timezone=DENVER)

        assert list_boundaries(schedule, 3)[1:] == [
            utc("2026-03-15T06:00"),
            utc("2026-04-15T06:00"),
            utc("2026-05-15T06:00"),
        ]
        assert schedule.period(9).starts_at == utc("2026-11-15T07:00")

    def test_passes_over_the_day_that_apia_left_out(self) -> None:
        schedule = begin(Cadence.DAILY, "2011-12-28T10:00", timezone=APIA)

        assert list_boundaries(schedule, 4) == [
            utc("2011-12-28T10:00"),
            utc("2011-12-29T10:00"),
            utc("2011-12-30T10:00"),
            utc("2011-12-31T10:00"),
            utc("2012-01-01T10:00"),
        ]

    def test_ends_a_month_of_apia_on_a_day_that_it_left_out(self) -> None:
        schedule = begin(Cadence.MONTHLY, "2011-11-30T12:00", timezone=APIA)

        assert list_boundaries(schedule, 2)[1:] == [utc("2011-12-30T10:00"), utc("2012-01-29T10:00")]

    def test_begins_a_day_whose_midnight_is_skipped_with_its_first_instant(self) -> None:
        schedule = begin(Cadence.DAILY, "2018-11-03T03:00", timezone="America/Sao_Paulo")

        assert list_boundaries(schedule, 2) == [
            utc("2018-11-03T03:00"),
            utc("2018-11-04T03:00"),
            utc("2018-11-05T02:00"),
        ]


class TestPeriodAt:
    SCHEDULE = begin(Cadence.MONTHLY, "2026-01-31T10:00", trial_days=3)  # Trial to 4 February, then monthly.

    @pytest.mark.parametrize(
        ("instant", "index"),
        [
            ("2026-01-31T10:00", 0),
            ("2026-02-03T23:59:59.999999", 0),
            ("2026-02-04T00:00", 1),
            ("2026-03-03T23:59:59.999999", 1),
            ("2026-03-04T00:00", 2),
            ("2027-03-04T00:00", 14),
        ],
    )
    def test_finds_the_period_that_contains_the_instant(self, instant: str, index: int) -> None:
        assert self.SCHEDULE.period_at(utc(instant)) == self.SCHEDULE.period(index)

    def test_refuses_an_instant_before_the_start(self) -> None:
        with pytest.raises(InstantBeforeStart):
            self.SCHEDULE.period_at(utc("2026-01-31T09:59:59.999999"))


class TestFirstPeriodEndingAfter:
    @pytest.mark.parametrize("trial_days", [0, 3])
    @pytest.mark.parametrize("instant", ["1999-01-01T00:00", "2026-01-31T09:59", "2026-01-31T10:00"])
    def test_is_the_first_for_any_earlier_instant(self, trial_days: int, instant: str) -> None:
        schedule = begin(Cadence.MONTHLY, "2026-01-31T10:00", trial_days=trial_days)

        assert schedule.first_period_ending_after(utc(instant)) == schedule.period(0)

    def test_is_the_next_at_a_boundary(self) -> None:
        schedule = begin(Cadence.MONTHLY, "2026-01-31T10:00")

        assert schedule.first_period_ending_after(utc("2026-02-27T23:59")) == schedule.period(0)
        assert schedule.first_period_ending_after(utc("2026-02-28T00:00")) == schedule.period(1)
        assert schedule.first_period_ending_after(utc("2026-03-30T23:59")) == schedule.period(1)
