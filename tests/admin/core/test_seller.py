"""The seller on the staff pages."""

import pytest
from django.test import Client

from billing_project.core.models import AuditEntry
from billing_project.core.seller import get_seller
from tests.admin.core.conftest import MakeStaff
from tests.factories.core import make_seller

SELLER = "/admin/core/seller/1/change/"
FORM = {
    "legal_name": "New Ltd",
    "address": '{"line1": "1 High Street", "country": "GB"}',
    "tax_id": "GB1",
    "email": "",
    "invoice_prefix": "INV-",
    "currency": "USD",
    "timezone": "Europe/London",
    "locale": "en_GB",
    "default_payment_terms_days": "14",
    "grace_seconds": "3600",
    "skip_zero_invoices": "on",
    "tax_engine": "None",
    "tax_flat_rate_bps": "0",
}


class TestChange:
    def test_calls_the_operation(self, staff: Client) -> None:
        make_seller()

        answer = staff.post(SELLER, FORM)

        assert answer.status_code == 302
        seller = get_seller()
        assert (seller.legal_name, seller.timezone) == ("New Ltd", "Europe/London")
        assert seller.address == {"line1": "1 High Street", "country": "GB"}
        entry = AuditEntry.objects.get(action="seller.updated")
        assert entry.actor_label == "ada"
        assert set(entry.changes) == {
            "legal_name",
            "address",
            "tax_id",
            "timezone",
            "locale",
            "default_payment_terms_days",
        }

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("timezone", "Mars/Olympus", "is not an IANA time zone"),
            ("address", '{"street": "x"}', "An address has only"),
            ("currency", "XXQ", "is not a currency"),
            ("tax_flat_rate_bps", "10001", "less than or equal to 10000"),
        ],
    )
    def test_shows_what_is_wrong_beside_the_field(
        self, staff: Client, field: str, value: str, message: str
    ) -> None:
        make_seller()

        answer = staff.post(SELLER, {**FORM, field: value})

        assert answer.status_code == 200
        assert field in answer.context["adminform"].form.errors
        assert message in answer.content.decode()
        assert get_seller().legal_name == "Seller Ltd"

    def test_is_for_those_who_may(self, make_staff: MakeStaff) -> None:
        make_seller()

        assert make_staff("view_seller").post(SELLER, FORM).status_code == 403
        assert get_seller().legal_name == "Seller Ltd"

    def test_makes_no_second_seller(self, staff: Client) -> None:
        assert staff.get("/admin/core/seller/add/").status_code == 403
