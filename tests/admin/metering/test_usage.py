"""The usage of a subscription on the staff pages: charts and numbers by day."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing_project.core.ids import make_id
from catalog.models import BillingCadence, Meter
from subscriptions.models import Subscription
from tests.admin.core.conftest import MakeStaff
from tests.factories.core import NOON
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.metering import INPUT, close, ingest, make_metered_plan, write_event
from tests.factories.subscriptions import subscribe, utc

pytestmark = pytest.mark.django_db

FIRST_END = utc(2026, 3, 2)


def address(subscription: Subscription) -> str:
    return f"/admin/subscriptions/subscription/{subscription.pk}/usage/"


def make_used(*, cadence: BillingCadence = BillingCadence.MONTHLY, name: str = "Acme") -> Subscription:
    """Make a subscription with usage on two days, of a customer for whom it is the third."""
    clock = make_test_clock(now_at=FIRST_END)
    customer = make_customer(display_name=name, test_clock_id=clock.pk)
    subscription = subscribe(customer=customer, plan=make_metered_plan(billing_cadence=cadence))
    ingest(
        write_event(subscription, properties={"input_tokens": 1500}),
        write_event(subscription, timestamp=NOON + timedelta(days=1), properties={"input_tokens": 500}),
        at=FIRST_END,
    )
    return subscription


def read_bars(content: str) -> list[tuple[str, int]]:
    """Read what the bars of all charts say, and how high they are."""
    bars = re.findall(
        r'<g>\s*<title>([^<]*)</title>.*?class="billing-bar"[^>]* height="(\d+)"', content, re.DOTALL
    )
    return [(label, int(height)) for label, height in bars]


class TestUsage:
    def test_is_linked_from_the_subscription(self, staff: Client) -> None:
        subscription = make_used()

        content = staff.get(f"/admin/subscriptions/subscription/{subscription.pk}/change/").content.decode()

        assert f'href="{address(subscription)}"' in content

    def test_shows_each_day_of_each_meter(self, staff: Client) -> None:
        subscription = make_used()
        Meter.objects.filter(code=INPUT).update(unit="tokens", display_name="Input tokens")

        content = staff.get(address(subscription)).content.decode()

        bars = read_bars(content)
        assert bars[:3] == [
            ("2026-02-28: 1,500 tokens", 100),
            ("2026-03-01: 500 tokens", 33),
            ("2026-03-02: 0 tokens", 0),
        ]
        assert len(bars) == 2 * 28
        assert "2,000 tokens" in content
        assert "At most 1,500 a day" in content
        assert "Days are those of UTC." in content
        assert [row.strip() for row in re.findall(r"<td[^>]*>\s*([^<]*?)\s*</td>", content)] == [
            *("2026-02-28", "1,500", "0"),
            *("2026-03-01", "500", "0"),
            *("Period", "2,000", "0"),
        ]

    def test_leads_from_period_to_period(self, staff: Client) -> None:
        subscription = make_used(cadence=BillingCadence.DAILY)
        close(subscription, 0, at=FIRST_END + timedelta(hours=1))
        late = write_event(subscription, timestamp=NOON, properties={"input_tokens": 7})
        ingest(
            late, write_event(subscription, timestamp=FIRST_END, properties={"input_tokens": 1}), at=FIRST_END
        )

        current = staff.get(address(subscription)).content.decode()
        earlier = staff.get(address(subscription), {"period": "0"}).content.decode()

        assert "of it late: 7" in current
        assert "?period=0" in current
        assert "Later period" not in current
        assert "?period=1" in earlier
        assert "Earlier period" not in earlier
        assert read_bars(earlier)[0] == ("2026-02-28: 1,500", 100)

    def test_says_so_where_there_is_none(self, staff: Client) -> None:
        content = staff.get(address(subscribe(plan=make_metered_plan()))).content.decode()

        assert "Nothing was used in this period." in content
        assert {height for _, height in read_bars(content)} == {0}

    def test_escapes_names(self, staff: Client) -> None:
        subscription = make_used(name="<i>Acme</i>")
        Meter.objects.filter(code=INPUT).update(unit="<b>", display_name="<u>Input</u>")

        content = staff.get(address(subscription)).content.decode()

        for text in ("<i>Acme", "<b>", "<u>Input"):
            assert text not in content

    @pytest.mark.parametrize("period", ["7", "-1", "current", "٣", "9" * 10])
    def test_is_not_there_for_other_periods(self, staff: Client, period: str) -> None:
        assert staff.get(address(make_used()), {"period": period}).status_code == 404

    def test_is_not_there_for_other_subscriptions(self, staff: Client) -> None:
        assert staff.get(f"/admin/subscriptions/subscription/{make_id()}/usage/").status_code == 404

    @pytest.mark.parametrize(("right", "status"), [("view_subscription", 200), ("view_customer", 403)])
    def test_is_for_those_who_may_see_the_subscription(
        self, make_staff: MakeStaff, right: str, status: int
    ) -> None:
        assert make_staff(right).get(address(make_used())).status_code == status

    def test_is_not_for_everybody(self) -> None:
        assert Client().get(address(make_used())).status_code == 302

    def test_takes_as_many_queries_whatever_there_is(self, staff: Client) -> None:
        def count(subscription: Subscription) -> int:
            with CaptureQueriesContext(connection) as queries:
                staff.get(address(subscription))
            return len(queries)

        assert count(make_used()) == count(subscribe(plan=make_metered_plan(with_count=True)))
