"""Days, months and midnights in a time zone: the only place where an instant becomes a local date.

Instants are aware and are given back in UTC. A *day* begins at its midnight; where a change of the clock
skips midnight, at the first instant of that date, and where it repeats midnight, at the first of the two. A
date that a zone left out altogether (Pacific/Apia had no 30 December 2011) has no instants: it begins and
ends with its successor's first one, and is no day to be counted or billed.
"""

import calendar
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)

# Names that the time zone files contain and that name no place: the machine's own zone, and a stand-in for
# "not set".
_NOT_TIMEZONES = {"Factory", "localtime"}


def is_timezone(name: str) -> bool:
    """Tell whether the name is that of a zone of the IANA database."""
    return name in _read_timezones()


def local_date(instant: datetime, *, timezone: str) -> date:
    """Read the date that a calendar in the zone shows at an instant."""
    assert instant.utcoffset() is not None, f"{instant} has no offset"
    return instant.astimezone(ZoneInfo(timezone)).date()


def day_of(instant: datetime, *, timezone: str) -> date:
    """Find the day that has begun last; unlike the calendar's date it never goes back.

    At 00:01 on 7 November 2010 St John's set its clocks to 23:01 on the 6th. The day of the 7th had begun
    by then.
    """
    day = local_date(instant, timezone=timezone)
    return day + _DAY if start_of_day(day + _DAY, timezone=timezone) <= instant else day


def start_of_day(day: date, *, timezone: str) -> datetime:
    """Find the first instant of a local date."""
    midnight = datetime.combine(day, time(), tzinfo=ZoneInfo(timezone))
    first = midnight.astimezone(UTC)
    second = midnight.replace(fold=1).astimezone(UTC)
    if second < first:  # The clock skips this midnight. Read with the later offset it lies before the change.
        return _find_change(day, after=second, until=first, timezone=timezone)
    return first


def next_midnight(after: datetime, *, timezone: str) -> datetime:
    """Find the first local midnight after an instant, never at it."""
    return start_of_day(day_of(after, timezone=timezone) + _DAY, timezone=timezone)


def first_midnight_at_or_after(instant: datetime, *, timezone: str) -> datetime:
    """Find the first local midnight that is not before an instant."""
    midnight = start_of_day(day_of(instant, timezone=timezone), timezone=timezone)
    return midnight if midnight == instant else next_midnight(instant, timezone=timezone)


def floor_to_hour(instant: datetime, *, timezone: str) -> datetime:
    """Find the start of the hour that clocks in the zone show: not all are whole hours away from UTC."""
    hour = instant.replace(minute=0, second=0, microsecond=0)
    if timezone == "UTC":
        return hour
    offset = instant.astimezone(ZoneInfo(timezone)).utcoffset()
    assert offset is not None, "A local time has an offset."
    beyond = offset % _HOUR
    if not beyond:
        return hour
    shifted = hour - beyond
    return shifted if instant - shifted < _HOUR else shifted + _HOUR


def add_months(anchor: date, months: int) -> date:
    """Add calendar months to a date; a day that the month does not have becomes its last one.

    Count from the anchor each time: 31 January leads to 28 February and to 31 March, and from 28 February
    it would lead to 28 March.
    """
    years, month_index = divmod(anchor.month - 1 + months, 12)
    year, month = anchor.year + years, month_index + 1
    last_day = calendar.monthrange(year, month)[1]
    return date(year, month, min(anchor.day, last_day))


def add_days(anchor: date, days: int, *, timezone: str) -> date:
    """Add days to a date, passing over dates that the zone left out."""
    assert days >= 0, f"Days are counted forwards, not {days}"
    start = start_of_day(anchor, timezone=timezone)
    day = anchor + days * _DAY
    for _ in range(3):  # A zone leaves out a date when it crosses the date line: once, if ever.
        missing = days - _whole_days(start_of_day(day, timezone=timezone) - start)
        if missing <= 0:
            return day
        day += missing * _DAY
    raise AssertionError(f"{timezone} leaves out too many dates after {anchor}")


def count_days(starts_at: datetime, ends_at: datetime, *, timezone: str) -> int:
    """Count the local days from the one of the start, with it, to the one of the end, without it.

    So a day counts for the span that begins in it or runs through to its end, and the counts of adjoining
    spans add up to the count of the whole.
    """
    assert starts_at <= ends_at, f"The span ends before it starts: {starts_at}, {ends_at}"
    first = start_of_day(day_of(starts_at, timezone=timezone), timezone=timezone)
    last = start_of_day(day_of(ends_at, timezone=timezone), timezone=timezone)
    return _whole_days(last - first)


@cache
def _read_timezones() -> frozenset[str]:
    return frozenset(available_timezones() - _NOT_TIMEZONES)


def _find_change(day: date, *, after: datetime, until: datetime, timezone: str) -> datetime:
    """Find, to the second, the change of the clock with which a date begins (or is jumped over)."""
    low, high = int(after.timestamp()), int(until.timestamp())
    while high - low > 1:  # At most 17 rounds: the clock is never moved by more than a day or so.
        middle = (low + high) // 2
        if local_date(datetime.fromtimestamp(middle, UTC), timezone=timezone) >= day:
            high = middle
        else:
            low = middle
    return datetime.fromtimestamp(high, UTC)


def _whole_days(elapsed: timedelta) -> int:
    """Round the time between two midnights to days, of which some have 23 or 25 hours."""
    return (elapsed + _DAY // 2) // _DAY
