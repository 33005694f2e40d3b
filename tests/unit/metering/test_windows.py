"""Parting time into hours, days and windows."""

from datetime import UTC, datetime, timedelta

import pytest

from billing_project.core.periods import floor_to_hour
from metering.aggregation.types import Span
from metering.windows import (
    Granularity,
    InvalidWindow,
    Window,
    WindowKind,
    next_hour,
    part,
)

DENVER = "America/Denver"  # Clocks go forward at 2:00 on 8 March 2026, and back at 2:00 on 1 November.
KOLKATA = "Asia/Kolkata"
LORD_HOWE = "Australia/Lord_Howe"  # Moves its clocks by half an hour: at 2:00 on 4 October 2026.
APIA = "Pacific/Apia"  # Had no 30 December 2011.
SAO_PAULO = "America/Sao_Paulo"  # Moved its clocks at midnight, until 2019.
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    """Read an instant written without its Z."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(starts_at: str, ends_at: str) -> Span:
    return Span(utc(starts_at), utc(ends_at))


def write(spans: list[Span]) -> list[str]:
    """Write where each begins, and where the last one ends."""
    return [f"{at:%Y-%m-%dT%H:%M}" for at in [*(each.starts_at for each in spans), spans[-1].ends_at]]


def count_hours(spans: list[Span]) -> list[float]:
    return [(each.ends_at - each.starts_at) / HOUR for each in spans]


class TestNextHour:
    @pytest.mark.parametrize(
        ("instant", "timezone", "following"),
        [
            ("2026-02-28T12:00", "UTC", "2026-02-28T13:00"),
            ("2026-02-28T12:59:59", "UTC", "2026-02-28T13:00"),
            ("2026-02-28T12:29:59", KOLKATA, "2026-02-28T12:30"),
            ("2026-02-28T12:30", KOLKATA, "2026-02-28T13:30"),
        ],
    )
    def test_begins_when_clocks_there_show_it(self, instant: str, timezone: str, following: str) -> None:
        assert next_hour(utc(instant), timezone=timezone) == utc(following)


class TestPart:
    def test_begins_and_ends_with_the_span(self) -> None:
        parts = part(
            span("2026-02-28T22:30", "2026-03-01T01:15"), granularity=Granularity.HOUR, timezone="UTC"
        )

        assert write(parts) == [
            "2026-02-28T22:30",
            "2026-02-28T23:00",
            "2026-03-01T00:00",
            "2026-03-01T01:00",
            "2026-03-01T01:15",
        ]

    def test_has_no_part_of_a_span_without_length(self) -> None:
        nothing = span("2026-02-28T22:30", "2026-02-28T22:30")

        assert part(nothing, granularity=Granularity.HOUR, timezone="UTC") == []
        assert part(nothing, granularity=Granularity.DAY, timezone="UTC") == []

    @pytest.mark.parametrize(
        ("timezone", "starts_at", "ends_at", "hours"),
        [
            (DENVER, "2026-03-07T07:00", "2026-03-10T06:00", [24, 23, 24]),
            (DENVER, "2026-10-31T06:00", "2026-11-03T07:00", [24, 25, 24]),
            (KOLKATA, "2026-02-27T18:30", "2026-03-01T18:30", [24, 24]),
            (APIA, "2011-12-28T10:00", "2012-01-01T10:00", [24, 24, 24, 24]),
            (SAO_PAULO, "2018-11-03T03:00", "2018-11-06T02:00", [24, 23, 24]),
            (LORD_HOWE, "2026-10-02T13:30", "2026-10-05T13:00", [24, 23.5, 24]),
        ],
    )
    def test_makes_the_days_of_a_calendar_there(
        self, timezone: str, starts_at: str, ends_at: str, hours: list[float]
    ) -> None:
        days = part(span(starts_at, ends_at), granularity=Granularity.DAY, timezone=timezone)

        assert count_hours(days) == hours

    @pytest.mark.parametrize(
        ("timezone", "starts_at", "ends_at", "count"),
        [
            (DENVER, "2026-03-08T07:00", "2026-03-09T06:00", 23),
            (DENVER, "2026-11-01T06:00", "2026-11-02T07:00", 25),
            (KOLKATA, "2026-02-27T18:30", "2026-02-28T18:30", 24),
            (LORD_HOWE, "2026-10-03T13:30", "2026-10-04T13:00", 24),  # One of them lasts half an hour.
        ],
    )
    def test_makes_the_hours_that_rollups_are_kept_by(
        self, timezone: str, starts_at: str, ends_at: str, count: int
    ) -> None:
        hours = part(span(starts_at, ends_at), granularity=Granularity.HOUR, timezone=timezone)

        assert len(hours) == count
        for hour in hours:
            first = floor_to_hour(hour.starts_at, timezone=timezone)
            last = floor_to_hour(hour.ends_at - timedelta(microseconds=1), timezone=timezone)
            assert first == last < floor_to_hour(hour.ends_at, timezone=timezone)


class TestWindow:
    @pytest.mark.parametrize(
        ("kind", "hours", "count"),
        [
            (WindowKind.SLIDING, 0, 1),
            (WindowKind.SLIDING, 31 * 24 + 1, 1),
            (WindowKind.SLIDING, 24, 2),
            (WindowKind.TUMBLING, 1, 0),
            (WindowKind.TUMBLING, 1, 101),
            (WindowKind.TUMBLING, 168, 53),
            (WindowKind.TUMBLING, 25, 1),
            (WindowKind.TUMBLING, 47, 1),
        ],
    )
    def test_refuses_what_cannot_be_laid(self, kind: WindowKind, hours: int, count: int) -> None:
        with pytest.raises(InvalidWindow):
            Window(kind=kind, hours=hours, count=count)


class TestListSpans:
    @pytest.mark.parametrize("timezone", ["UTC", DENVER, KOLKATA])
    def test_slides_with_the_clock(self, timezone: str) -> None:
        window = Window(kind=WindowKind.SLIDING, hours=36)

        assert window.list_spans(at=utc("2026-03-09T12:34:56"), timezone=timezone) == [
            span("2026-03-08T00:34:56", "2026-03-09T12:34:56")
        ]

    def test_tumbles_from_midnight_on(self) -> None:
        window = Window(kind=WindowKind.TUMBLING, hours=6, count=3)

        assert write(window.list_spans(at=utc("2026-03-01T11:59"), timezone="UTC")) == [
            "2026-02-28T18:00",
            "2026-03-01T00:00",
            "2026-03-01T06:00",
            "2026-03-01T12:00",
        ]
        assert write(window.list_spans(at=utc("2026-03-01T12:00"), timezone="UTC"))[-1] == "2026-03-01T18:00"

    def test_cuts_the_last_one_of_a_day_off(self) -> None:
        window = Window(kind=WindowKind.TUMBLING, hours=10, count=4)

        assert write(window.list_spans(at=utc("2026-03-01T03:00"), timezone="UTC")) == [
            "2026-02-28T00:00",
            "2026-02-28T10:00",
            "2026-02-28T20:00",
            "2026-03-01T00:00",
            "2026-03-01T10:00",
        ]

    @pytest.mark.parametrize(
        ("timezone", "at", "hours", "lengths"),
        [
            (DENVER, "2026-03-09T05:59", 6, [6, 6, 6, 5]),
            (DENVER, "2026-11-02T06:59", 6, [6, 6, 6, 6, 1]),
            (DENVER, "2026-11-02T06:59", 1, [1] * 25),
            (DENVER, "2026-03-09T05:59", 24, [24, 23]),
            (DENVER, "2026-11-02T06:59", 24, [24, 25]),
            (DENVER, "2026-11-02T06:59", 168, [168, 169]),
            (KOLKATA, "2026-02-28T18:29", 12, [12, 12]),
        ],
    )
    def test_follows_changes_of_the_clock(
        self, timezone: str, at: str, hours: int, lengths: list[float]
    ) -> None:
        window = Window(kind=WindowKind.TUMBLING, hours=hours, count=len(lengths))
        spans = window.list_spans(at=utc(at), timezone=timezone)

        assert count_hours(spans) == lengths
        assert spans[-1].starts_at <= utc(at) < spans[-1].ends_at

    def test_counts_days_on_so_that_seven_are_a_week(self) -> None:
        weeks = Window(kind=WindowKind.TUMBLING, hours=7 * 24, count=2)
        pairs = Window(kind=WindowKind.TUMBLING, hours=48)

        assert write(weeks.list_spans(at=utc("2026-03-04T12:00"), timezone="UTC")) == [
            "2026-02-23T00:00",  # A Monday.
            "2026-03-02T00:00",
            "2026-03-09T00:00",
        ]
        assert pairs.list_spans(at=utc("1970-01-05T12:00"), timezone="UTC") == [
            span("1970-01-05T00:00", "1970-01-07T00:00")
        ]
        assert pairs.list_spans(at=utc("1970-01-04T12:00"), timezone="UTC") == [
            span("1970-01-03T00:00", "1970-01-05T00:00")
        ]

    def test_passes_over_a_date_that_was_left_out(self) -> None:
        days = Window(kind=WindowKind.TUMBLING, hours=24, count=3)
        half_days = Window(kind=WindowKind.TUMBLING, hours=12, count=4)
        at = utc("2011-12-31T05:00")  # There it was the 31st.

        assert write(days.list_spans(at=at, timezone=APIA)) == [
            "2011-12-28T10:00",
            "2011-12-29T10:00",
            "2011-12-30T10:00",
            "2011-12-31T10:00",
        ]
        assert count_hours(half_days.list_spans(at=at, timezone=APIA)) == [12, 12, 12, 12]
