"""When a subscription's billing periods begin and end, as pure arithmetic.

Every boundary but the first start is a local midnight, and each is counted from the schedule's anchor: no
period is computed from the one before it, so that the 31st stays the 31st after a February, and any period
is found at once.

    trial?      first regular period            every later one
    |-----------|-------------------------------|---------------------|---
    starts_at   trial's end                     anchor + 1 cadence    anchor + 2 cadences

The anchor is a local date: of the instant at which the regular periods begin (Anniversary), or of the last
calendar boundary up to it (Calendar). In the second case the first regular period may be a stub of a full
one, whose bounds it carries as nominal ones. A daily schedule that begins in the course of a day is
anchored to the day after it, so that its first period is never a few hours short of a day's fee.

A schedule consists of epochs, most often of one. A plan with another cadence or another kind of anchor
begins a new one at once, which cuts the period short that it falls into; another time zone begins one with
the next period, counted on from the same anchor. The numbers of the periods go on.
"""

from subscriptions.schedule.epochs import AnchorMode, Cadence, Epoch, ScheduledPeriod
from subscriptions.schedule.schedules import InstantBeforeStart, Schedule

__all__ = ["AnchorMode", "Cadence", "Epoch", "InstantBeforeStart", "Schedule", "ScheduledPeriod"]
