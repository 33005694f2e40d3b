"""Parked subscriptions on the staff pages."""

import pytest
from django.test import Client

from billing_project.core.models import AuditEntry
from invoicing.models import BillRunItem, BillRunItemStatus
from tests.admin.core.conftest import MakeStaff
from tests.admin.rows import make_subscription, park

CONFIRM = {"_form_submitted": "true"}
ITEMS = "/admin/invoicing/billrunitem/"


@pytest.fixture
def item(db: None) -> BillRunItem:
    return park(make_subscription())


class TestRelease:
    def test_lets_one_be_billed_again(self, staff: Client, item: BillRunItem) -> None:
        assert b"release_one" in staff.get(f"{ITEMS}{item.pk}/change/").content

        staff.post(f"{ITEMS}{item.pk}/release_one/", CONFIRM)

        item.refresh_from_db()
        assert item.released_at is not None
        assert item.status == BillRunItemStatus.PARKED
        entry = AuditEntry.objects.get(action="bill_run_item.released")
        assert (entry.subject_id, entry.actor_label) == (str(item.pk), "ada")
        assert b"release_one" not in staff.get(f"{ITEMS}{item.pk}/change/").content

    def test_lets_the_chosen_be_billed_again_and_tells_which_could_not(
        self, staff: Client, item: BillRunItem
    ) -> None:
        other = park(make_subscription("Other"))
        staff.post(f"{ITEMS}{other.pk}/release_one/", CONFIRM)

        answer = staff.post(
            ITEMS, {"action": "release", "_selected_action": [item.pk, other.pk]}, follow=True
        )

        content = answer.content.decode()
        assert "1 released for the next bill run." in content
        assert f"Item {other.pk} is not parked." in content
        item.refresh_from_db()
        assert item.released_at is not None

    def test_is_for_those_who_may(self, make_staff: MakeStaff, item: BillRunItem) -> None:
        staff = make_staff("view_billrunitem", "change_invoice")

        assert staff.post(f"{ITEMS}{item.pk}/release_one/", CONFIRM).status_code == 403
        staff.post(ITEMS, {"action": "release", "_selected_action": [item.pk]})
        item.refresh_from_db()
        assert item.released_at is None


class TestList:
    def test_shows_those_that_wait(self, staff: Client, item: BillRunItem) -> None:
        address = f"{ITEMS}{item.pk}/change/"
        assert address in staff.get(ITEMS, {"waiting": "yes"}).content.decode()

        staff.post(f"{ITEMS}{item.pk}/release_one/", CONFIRM)

        assert address not in staff.get(ITEMS, {"waiting": "yes"}).content.decode()
        assert address in staff.get(ITEMS).content.decode()
