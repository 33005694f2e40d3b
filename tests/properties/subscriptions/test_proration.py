from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from subscriptions.proration import share_of_days
from subscriptions.schedule import AnchorMode, Cadence, Schedule, ScheduledPeriod

TIMEZONES = ["UTC", "Asia/Kolkata", "America/Denver", "Pacific/Apia", "America/Sao_Paulo", "America/St_Johns"]
STARTS = st.one_of(
    st.datetimes(
        min_value=datetime(2000, 1, 1),  # noqa: DTZ001  Hypothesis takes the bounds without their zone.
        max_value=datetime(2060, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    st.sampled_from(
        [
            datetime(2011, 12, 1, 12, tzinfo=UTC),
            datetime(2010, 11, 5, 12, tzinfo=UTC),
            datetime(2018, 11, 2, 12, tzinfo=UTC),
            datetime(2026, 3, 7, 12, tzinfo=UTC),
        ]
    ),
)


@st.composite
def periods(draw: st.DrawFn) -> tuple[str, ScheduledPeriod]:
    """Draw one of the first periods of a schedule, with its zone."""
    timezone = draw(st.sampled_from(TIMEZONES))
    schedule = Schedule.begin(
        cadence=draw(st.sampled_from(Cadence)),
        anchor_mode=draw(st.sampled_from(AnchorMode)),
        starts_at=draw(STARTS),
        timezone=timezone,
        trial_days=draw(st.sampled_from([0, 0, 14])),
    )
    return timezone, schedule.period(draw(st.integers(0, 3)))


def cut(starts_at: datetime, ends_at: datetime, places: list[Fraction]) -> list[datetime]:
    """Cut a span at some parts of its length."""
    microseconds = (ends_at - starts_at) // timedelta(microseconds=1)
    inner = [starts_at + timedelta(microseconds=round(place * microseconds)) for place in sorted(places)]
    return [starts_at, *inner, ends_at]


CUTS = st.lists(st.fractions(min_value=0, max_value=1, max_denominator=10**6), max_size=6)


class TestShareOfDays:
    @given(periods(), CUTS)
    def test_adds_up_to_the_whole_over_any_split_of_a_period(
        self, place: tuple[str, ScheduledPeriod], cuts: list[Fraction]
    ) -> None:
        timezone, period = place

        shares = [
            share_of_days(
                starts_at=starts_at,
                ends_at=ends_at,
                period_starts_at=period.starts_at,
                period_ends_at=period.ends_at,
                timezone=timezone,
            )
            for starts_at, ends_at in pairwise(cut(period.starts_at, period.ends_at, cuts))
        ]

        assert all(0 <= share <= 1 for share in shares)
        assert sum(shares) == 1

    @given(periods(), CUTS)
    def test_adds_up_to_the_share_of_the_period_in_its_nominal_one(
        self, place: tuple[str, ScheduledPeriod], cuts: list[Fraction]
    ) -> None:
        timezone, period = place

        def share(starts_at: datetime, ends_at: datetime) -> Fraction:
            return share_of_days(
                starts_at=starts_at,
                ends_at=ends_at,
                period_starts_at=period.nominal_starts_at,
                period_ends_at=period.nominal_ends_at,
                timezone=timezone,
            )

        segments = pairwise(cut(period.starts_at, period.ends_at, cuts))

        assert sum(share(starts_at, ends_at) for starts_at, ends_at in segments) == share(
            period.starts_at, period.ends_at
        )

    @given(periods(), CUTS)
    def test_adds_up_to_the_whole_of_a_period_that_was_cut_short(
        self, place: tuple[str, ScheduledPeriod], cuts: list[Fraction]
    ) -> None:
        timezone, period = place
        *kept, ends_at = cut(period.starts_at, period.ends_at, [*cuts, Fraction(1, 1000)])[:-1]

        shares = [
            share_of_days(
                starts_at=segment_starts_at,
                ends_at=segment_ends_at,
                period_starts_at=period.starts_at,
                period_ends_at=ends_at,
                timezone=timezone,
            )
            for segment_starts_at, segment_ends_at in pairwise([*kept, ends_at])
        ]

        assert sum(shares) == 1
