"""What a subscription has used, day by day: a chart for each meter, and the numbers in a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format

from billing_project.core.admin.bases import BillingAdmin
from billing_project.core.admin.columns import write_quantity
from billing_project.core.admin.details import RelatedList, Table, make_link
from billing_project.core.clock import now
from billing_project.core.errors import NotFound
from billing_project.core.periods import local_date
from customers.queries import now_for
from metering.queries import (
    MeterSummary,
    PeriodName,
    UsageBucket,
    UsageSummary,
    get_usage_period,
    read_usage_series,
    read_usage_summary,
)
from metering.windows import Granularity
from subscriptions.models import Period, Subscription

VIEW_NAME = "subscriptions_subscription_usage"
BAR_STEP, CHART_HEIGHT = 10, 100
# More would not fit beside each other.
METERS_IN_TABLE = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """A day in a chart, in units of its drawing; the label says it in words."""

    left: int
    height: int
    label: str

    @property
    def top(self) -> int:
        """Return where the bar begins, from above."""
        return CHART_HEIGHT - self.height


@dataclass(frozen=True, slots=True)
class Chart:
    """A meter's usage in a period, day by day."""

    title: str
    code: str
    total: str
    late: str
    peak: str
    bars: Sequence[Bar]

    @property
    def width(self) -> int:
        """Return how wide the drawing is."""
        return BAR_STEP * len(self.bars)


class UsageLink(RelatedList):
    """A link from a subscription to its usage."""

    @property
    def permission(self) -> str:
        """Name the right to see it: whoever sees the subscription may."""
        return "subscriptions.view_subscription"

    def address(self, row: Model) -> str:
        """Build the address of the page."""
        return reverse(f"admin:{VIEW_NAME}", args=[row.pk])


USAGE_LINK = UsageLink("Usage", "subscriptions_subscription", "")


class UsageMixin(BillingAdmin[Subscription]):
    """For the pages of subscriptions: adds one with the usage."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page."""
        view = self.admin_site.admin_view(self.usage_view)
        return [path("<uuid:subscription_id>/usage/", view, name=VIEW_NAME), *super().get_urls()]

    def usage_view(self, request: HttpRequest, subscription_id: UUID) -> HttpResponse:
        """Show the usage in a period, which is named by its number; in the current one, unless one is."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        subscription = self.get_queryset(request).filter(pk=subscription_id).first()
        if subscription is None:
            raise Http404
        at = now_for(customer_id=subscription.customer_id, real_now=now())
        period = _find_period(subscription, request.GET.get("period", ""), at=at)
        summary = read_usage_summary(subscription=subscription, period=period, at=at)
        days = read_usage_series(subscription=subscription, period=period, granularity=Granularity.DAY, at=at)
        context = {
            **self.admin_site.each_context(request),
            "title": "Usage",
            "opts": self.opts,
            "original": subscription,
            "subscription_link": make_link("subscriptions_subscription", subscription.pk, subscription),
            "period": period,
            "period_link": make_link("subscriptions_period", period.pk, f"Period {period.number}"),
            "earlier": _address(subscription, period.number - 1) if period.number else "",
            "later": _find_later(subscription, period, at=at),
            "charts": [make_chart(item, days, period) for item in summary.meters],
            "first_day": _write_day(days[0].starts_at, period) if days else "",
            "last_day": _write_day(days[-1].starts_at, period) if days else "",
            "table": make_day_table(summary, days),
        }
        return TemplateResponse(request, "admin/usage.html", context)


def make_chart(item: MeterSummary, days: Sequence[UsageBucket], period: Period) -> Chart:
    """Make the chart of a meter: the greatest day is as high as the chart."""
    values = [_find_value(item, day.meters) for day in days]
    peak = max(values, default=Decimal(0))
    unit = f" {item.meter.unit}" if item.meter.unit else ""
    return Chart(
        title=item.meter.display_name or item.meter.code,
        code=item.meter.code,
        total=write_quantity(item.usage.quantity) + unit,
        late=write_quantity(item.usage.late_quantity) if item.usage.late_quantity else "",
        peak=write_quantity(peak),
        bars=[
            Bar(
                left=BAR_STEP * number,
                height=int(CHART_HEIGHT * value / peak) if peak else 0,
                label=f"{_write_day(day.starts_at, period)}: {write_quantity(value)}{unit}",
            )
            for number, (day, value) in enumerate(zip(days, values, strict=True))
        ],
    )


def make_day_table(summary: UsageSummary, days: Sequence[UsageBucket]) -> Table:
    """Make a table of the days on which there was any usage, and what the period comes to."""
    shown = summary.meters[:METERS_IN_TABLE]
    names = [item.meter.display_name or item.meter.code for item in shown]
    rows = [
        (
            _write_day(day.starts_at, summary.period),
            *(write_quantity(_find_value(item, day.meters)) for item in shown),
        )
        for day in days
        if any(item.usage.event_count or item.usage.quantity for item in day.meters)
    ]
    whole = ("Period", *(write_quantity(item.usage.quantity) for item in shown))
    left_out = len(summary.meters) - len(shown)
    return Table(
        title="By day",
        headers=("Day", *names),
        numeric=names,
        rows=[*rows, whole] if rows else [],
        empty="Nothing was used in this period.",
        note=f"Days are those of {summary.period.timezone}."
        + (f" {left_out} more meters are in the charts above." if left_out else ""),
    )


def _find_value(item: MeterSummary, meters: Iterable[MeterSummary]) -> Decimal:
    """Find what a meter came to on a day."""
    return next(found.usage.quantity for found in meters if found.meter.pk == item.meter.pk)


def _find_period(subscription: Subscription, text: str, *, at: datetime) -> Period:
    """Find the period with a number; the current one if none is given.

    Raises: Http404.
    """
    which: PeriodName | int = PeriodName.CURRENT
    if text:
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise Http404
        which = int(text)
    try:
        return get_usage_period(subscription_id=subscription.pk, which=which, at=at)
    except NotFound:
        raise Http404 from None


def _find_later(subscription: Subscription, period: Period, *, at: datetime) -> str:
    """Find the address of the next period, if that has begun."""
    current = get_usage_period(subscription_id=subscription.pk, which=PeriodName.CURRENT, at=at)
    return _address(subscription, period.number + 1) if period.number < current.number else ""


def _address(subscription: Subscription, number: int) -> str:
    return f"{reverse(f'admin:{VIEW_NAME}', args=[subscription.pk])}?period={number}"


def _write_day(instant: datetime, period: Period) -> str:
    return date_format(local_date(instant, timezone=period.timezone), "DATE_FORMAT")
