"""Parked deliveries on the staff pages."""

import pytest
from django.test import Client

from billing_project.core.events import emit
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry, DeliveryStatus, OutboxDelivery
from tests.admin.core.conftest import MakeStaff
from tests.factories.core import NOON, subscribed
from tests.operations.core.test_events import InvoiceMade, ignore

DELIVERIES = "/admin/core/outboxdelivery/"
CONFIRM = {"_form_submitted": "true"}


@pytest.fixture
def parked(db: None) -> OutboxDelivery:
    with subscribed("invoice.made", ignore, key="h"):
        emit(InvoiceMade(make_id()), at=NOON)
        emit(InvoiceMade(make_id()), at=NOON)
    delivery = OutboxDelivery.objects.order_by("id")[0]
    delivery.status = DeliveryStatus.PARKED
    delivery.save()
    return delivery


class TestRetry:
    def test_is_asked_for_one(self, staff: Client, parked: OutboxDelivery) -> None:
        address = f"{DELIVERIES}{parked.pk}/retry_one/"

        assert staff.get(address).status_code == 200
        parked.refresh_from_db()
        assert parked.status == DeliveryStatus.PARKED
        staff.post(address, CONFIRM)
        parked.refresh_from_db()
        assert parked.status == DeliveryStatus.PENDING

    def test_is_asked_for_many_and_tells_which_could_not(self, staff: Client, parked: OutboxDelivery) -> None:
        pks = list(OutboxDelivery.objects.values_list("pk", flat=True))

        answer = staff.post(DELIVERIES, {"action": "retry", "_selected_action": pks}, follow=True)

        content = answer.content.decode()
        assert "1 will be tried again." in content
        assert "is Pending." in content

    def test_is_for_those_who_may(self, make_staff: MakeStaff, parked: OutboxDelivery) -> None:
        staff = make_staff("view_outboxdelivery")

        assert staff.post(f"{DELIVERIES}{parked.pk}/retry_one/", CONFIRM).status_code == 403
        staff.post(DELIVERIES, {"action": "retry", "_selected_action": [parked.pk]})
        parked.refresh_from_db()
        assert parked.status == DeliveryStatus.PARKED


class TestSkip:
    def test_asks_why(self, staff: Client, parked: OutboxDelivery) -> None:
        staff.post(f"{DELIVERIES}{parked.pk}/skip_one/", CONFIRM)
        parked.refresh_from_db()
        assert parked.status == DeliveryStatus.PARKED

        staff.post(f"{DELIVERIES}{parked.pk}/skip_one/", {**CONFIRM, "reason": "of no use"})

        parked.refresh_from_db()
        assert parked.status == DeliveryStatus.SKIPPED
        assert AuditEntry.objects.get().reason == "of no use"
