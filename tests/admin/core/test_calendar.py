"""The dates above a list: those between the first row and the last, found without reading the rows."""

import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing_project.core.admin.calendar import Calendar
from invoicing.models import Invoice
from tests.factories.invoicing import make_draft, make_final
from tests.factories.subscriptions import utc

pytestmark = pytest.mark.django_db

INVOICES = "/admin/invoicing/invoice/"


def make_calendar(first: datetime | None, last: datetime | None, **chosen: int) -> Calendar:
    params = {f"finalized_at__{part}": str(value) for part, value in chosen.items()}
    made = Calendar(Invoice, "finalized_at", params)
    made.__dict__["bounds"] = {"first": first, "last": last}
    return made


def list_choices(client: Client, **query: Any) -> list[str]:
    """List the links above the list of invoices."""
    content = client.get(INVOICES, query).content.decode()
    return re.findall(r'href="\?((?:[^"]*;)?finalized_at__[^"]*)"', content)


class TestDatetimes:
    def test_lists_the_years(self) -> None:
        made = make_calendar(utc(2024, 12, 31), utc(2026, 1, 1))

        assert made.datetimes("finalized_at", "year") == [date(year, 1, 1) for year in (2024, 2025, 2026)]

    def test_lists_the_months_of_the_chosen_year(self) -> None:
        made = make_calendar(utc(2024, 11, 30), utc(2026, 1, 1), year=2024)

        assert made.datetimes("finalized_at", "month") == [date(2024, 11, 1), date(2024, 12, 1)]

    def test_lists_the_days_of_the_chosen_month(self) -> None:
        made = make_calendar(utc(2024, 2, 27, 23), utc(2026, 1, 1), year=2024, month=2)

        assert made.datetimes("finalized_at", "day") == [date(2024, 2, day) for day in (27, 28, 29)]

    def test_takes_the_only_month_there_is(self) -> None:
        made = make_calendar(utc(2026, 2, 3), utc(2026, 2, 4))

        assert made.datetimes("finalized_at", "day") == [date(2026, 2, 3), date(2026, 2, 4)]

    def test_lists_nothing_of_an_empty_table(self) -> None:
        assert make_calendar(None, None).datetimes("finalized_at", "year") == []


class TestPage:
    def test_leads_from_years_to_days(self, staff: Client) -> None:
        old, new = make_final(at=utc(2025, 12, 30)), make_final(at=utc(2026, 1, 2))

        assert list_choices(staff) == ["finalized_at__year=2025", "finalized_at__year=2026"]
        assert "finalized_at__month=12&amp;finalized_at__year=2025" in list_choices(
            staff, finalized_at__year=2025
        )
        days = list_choices(staff, finalized_at__year=2026, finalized_at__month=1)
        assert "finalized_at__day=2&amp;finalized_at__month=1&amp;finalized_at__year=2026" in days
        day = {"finalized_at__year": 2026, "finalized_at__month": 1, "finalized_at__day": 2}
        content = staff.get(INVOICES, day).content.decode()
        assert f"{new.pk}/change/" in content
        assert f"{old.pk}/change/" not in content

    def test_is_there_for_rows_without_a_date(self, staff: Client) -> None:
        make_draft()

        assert staff.get(INVOICES).status_code == 200

    def test_reads_the_ends_of_an_index_and_no_rows(self, staff: Client) -> None:
        make_final(at=datetime(2025, 12, 30, tzinfo=UTC))
        make_final(at=datetime(2026, 1, 2, tzinfo=UTC))

        with CaptureQueriesContext(connection) as queries:
            staff.get(INVOICES, {"status__exact": "Draft"})

        asked = [query["sql"] for query in queries if "MIN(" in query["sql"] or "DISTINCT" in query["sql"]]
        assert len(asked) == 1
        assert "WHERE" not in asked[0]
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {asked[0]}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert plan.count("Index Only Scan") == 2
