"""A line of an invoice on the staff pages: every figure that explains it."""

import re

import pytest
from django.test import Client

from invoicing.models import InvoiceLine
from tests.admin.rows import bill_finally, make_subscription, make_usage


def read(client: Client, line: InvoiceLine) -> str:
    content = client.get(f"/admin/invoicing/invoiceline/{line.pk}/change/").content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content))


@pytest.mark.django_db
class TestPage:
    def test_explains_the_amount(self, staff: Client) -> None:
        subscription = make_subscription()
        make_usage(subscription)
        bill_finally(subscription)
        make_usage(subscription, 22_500)
        line = InvoiceLine.objects.get(invoice=bill_finally(subscription), meter__isnull=False)

        text = read(staff, line)

        assert "Amount $0.045 Quantity so far 5,000,000 Late part 0 Billed before $9.955" in text
        assert "Units 5,000,000 $0.000002 $10.00 Billed before 1 -$9.955 -$9.955" in text
