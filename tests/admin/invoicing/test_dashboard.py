"""The first page of staff: its figures, and for whom it is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing_project.core.clock import now
from billing_project.core.seller import update_seller
from invoicing.admin.dashboard import Card, read_cards, read_month, read_parked
from invoicing.models import BillRunItemStatus
from invoicing.payments.operations import record_payment
from tests.admin.core.conftest import MakeStaff
from tests.admin.rows import make_subscription, park
from tests.factories.core import NOON, TESTER, make_seller
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.invoicing import DOLLAR, make_contract, make_draft, make_final
from tests.factories.subscriptions import utc

pytestmark = pytest.mark.django_db

INDEX = "/admin/"


def read_figures(at: datetime) -> dict[str, list[tuple[str, int]]]:
    return {
        card.title: [(str(amount), amount.count) for amount in card.amounts] for card in read_cards(at=at)
    }


def pay(invoice: Any, amount_nanos: int, at: datetime) -> None:
    record_payment(
        invoice_id=invoice.pk,
        amount_nanos=amount_nanos,
        reference="",
        received_at=None,
        at=at,
        actor=TESTER,
    )


class TestReadCards:
    def test_shows_nothing_where_there_is_nothing(self) -> None:
        assert read_figures(NOON) == {
            "Open": [],
            "Overdue": [],
            "Drafts": [],
            "Invoiced this month": [],
            "Collected this month": [],
        }

    def test_adds_up_by_currency(self) -> None:
        dollars = make_final(charges=[5 * DOLLAR])
        pay(dollars, 2 * DOLLAR, NOON)
        make_final(charges=[7 * DOLLAR])
        make_final(make_contract(currency="EUR"), charges=[3 * DOLLAR])
        make_draft(charges=[11 * DOLLAR])
        paid = make_final(charges=[DOLLAR])
        pay(paid, DOLLAR, NOON)

        assert read_figures(NOON) == {
            "Open": [("€3.00", 1), ("$10.00", 2)],
            "Overdue": [],
            "Drafts": [("$11.00", 1)],
            "Invoiced this month": [("€3.00", 1), ("$13.00", 3)],
            "Collected this month": [("$3.00", 2)],
        }

    def test_tells_what_is_overdue_by_each_customers_time(self) -> None:
        make_final(charges=[5 * DOLLAR])
        clocked = make_customer(test_clock_id=make_test_clock().pk)
        make_final(make_contract(customer=clocked), charges=[7 * DOLLAR])

        figures = read_figures(NOON + timedelta(days=31))

        assert (figures["Open"], figures["Overdue"]) == ([("$12.00", 2)], [("$5.00", 1)])

    def test_counts_the_month_of_the_sellers_calendar(self) -> None:
        make_seller()
        update_seller(values={"timezone": "America/Denver"}, at=NOON, actor=TESTER)
        invoice = make_final(charges=[5 * DOLLAR], at=utc(2026, 3, 1, 6, 59))  # Still February in Denver.
        pay(invoice, DOLLAR, utc(2026, 3, 1, 7))

        february, march = read_figures(utc(2026, 3, 1, 6)), read_figures(utc(2026, 3, 1, 8))

        assert february["Invoiced this month"] == [("$5.00", 1)]
        assert february["Collected this month"] == []
        assert march["Invoiced this month"] == []
        assert march["Collected this month"] == [("$1.00", 1)]


class TestReadMonth:
    def test_is_half_open_and_local(self) -> None:
        make_seller()
        update_seller(values={"timezone": "America/Denver"}, at=NOON, actor=TESTER)

        month = read_month(at=datetime(2026, 12, 31, 12, tzinfo=UTC))

        assert (month.starts_at, month.ends_at) == (utc(2026, 12, 1, 7), utc(2027, 1, 1, 7))


class TestReadParked:
    def test_counts_those_that_wait(self) -> None:
        assert read_parked() is None

        item = park(make_subscription())

        assert read_parked() == Card(
            "Parked subscriptions: 1", (), "/admin/invoicing/billrunitem/?waiting=yes"
        )
        item.released_at = NOON
        item.save()
        assert item.status == BillRunItemStatus.PARKED
        assert read_parked() is None


class TestPage:
    def test_shows_the_figures_and_where_their_rows_are(self, staff: Client) -> None:
        draft, final = make_draft(charges=[11 * DOLLAR]), make_final(charges=[5 * DOLLAR], at=now())
        park(make_subscription())

        answer = staff.get(INDEX)

        assert answer.status_code == 200
        content = answer.content.decode()
        for text in ("$11.00", "$5.00", "Parked subscriptions: 1", "Last bill runs"):
            assert text in content
        addresses = {card.title: card.address for card in answer.context["cards"]}
        assert f"{draft.pk}/change/" in staff.get(addresses["Drafts"]).content.decode()
        for title in ("Open", "Invoiced this month"):
            listed = staff.get(addresses[title]).content.decode()
            assert f"{final.pk}/change/" in listed
            assert f"{draft.pk}/change/" not in listed
        assert staff.get(addresses["Collected this month"]).status_code == 200
        assert staff.get(addresses["Overdue"]).status_code == 200

    def test_asks_the_database_as_often_for_many_rows(self, staff: Client) -> None:
        def read() -> int:
            with CaptureQueriesContext(connection) as queries:
                assert staff.get(INDEX).status_code == 200
            return len(queries)

        park(make_subscription("One"))
        make_final(charges=[DOLLAR])
        read()
        few = read()
        for name in ("Two", "Three"):
            park(make_subscription(name))
            make_draft(charges=[DOLLAR])
            make_final(make_contract(currency="EUR"), charges=[DOLLAR])

        assert read() == few

    @pytest.mark.parametrize("left_out", ["view_invoice", "view_payment", "view_billrun"])
    def test_shows_figures_only_to_those_who_may_see_their_rows(
        self, make_staff: MakeStaff, left_out: str
    ) -> None:
        make_final(charges=[5 * DOLLAR], at=now())
        rights = {"view_invoice", "view_payment", "view_billrun", "view_plan"} - {left_out}

        content = make_staff(*rights).get(INDEX).content.decode()

        assert "$5.00" not in content
        assert "Plans" in content
