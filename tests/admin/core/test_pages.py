"""Core's staff pages: each opens, shows what it should, and is for those who may."""

from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from billing_project.core import audit
from billing_project.core.access.rate_limits import count_request
from billing_project.core.events import emit
from billing_project.core.idempotency.answers import Answer, RequestKey, answer_once
from billing_project.core.ids import make_id
from billing_project.core.models import (
    AuditEntry,
    IdempotencyRecord,
    NumberSequence,
    OutboxDelivery,
    OutboxEvent,
    RateCounter,
)
from billing_project.core.sequences import take_number
from tests.admin.core.conftest import MakeStaff
from tests.factories.core import NOON, TESTER, make_api_key, make_seller, subscribed
from tests.operations.core.test_events import InvoiceMade, ignore

READ_ONLY = [
    "auditentry",
    "idempotencyrecord",
    "numbersequence",
    "outboxdelivery",
    "outboxevent",
    "ratecounter",
]
PAGES = ["apikey", "seller", *READ_ONLY]


@pytest.fixture
def rows(db: None) -> dict[str, Model]:
    """Make a row for each page."""
    from_seller = make_seller()
    key = make_api_key(name="<b>CI</b>").api_key
    with subscribed("invoice.made", ignore, key="h"):
        event = emit(InvoiceMade(make_id(), 17), at=NOON)
    take_number("invoice")
    count_request(caller="c", at=NOON)
    request = RequestKey(caller="c", method="POST", path="/v1/things", key="k", fingerprint="f")
    answer_once(request=request, prepare=lambda: None, run=lambda: Answer(201, "{}"), at=NOON)
    return {
        "idempotencyrecord": IdempotencyRecord.objects.get(),
        "numbersequence": NumberSequence.objects.get(),
        "ratecounter": RateCounter.objects.get(),
        "seller": from_seller,
        "apikey": key,
        "auditentry": AuditEntry.objects.get(subject_id=str(key.id)),
        "outboxevent": event,
        "outboxdelivery": OutboxDelivery.objects.get(),
    }


def path(page: str, *parts: Any) -> str:
    return "/".join(["/admin/core", page, *(str(part) for part in parts), ""])


class TestPages:
    @pytest.mark.parametrize("page", PAGES)
    def test_list_their_rows(self, staff: Client, rows: dict[str, Model], page: str) -> None:
        assert staff.get(path(page)).status_code == 200

    @pytest.mark.parametrize("page", PAGES)
    def test_show_a_row(self, staff: Client, rows: dict[str, Model], page: str) -> None:
        answer = staff.get(path(page, rows[page].pk, "change"))

        assert answer.status_code == 200

    @pytest.mark.parametrize("page", PAGES)
    def test_are_closed_to_staff_without_the_right(
        self, make_staff: MakeStaff, rows: dict[str, Model], page: str
    ) -> None:
        assert make_staff().get(path(page)).status_code == 403

    @pytest.mark.parametrize("page", PAGES)
    def test_ask_strangers_to_sign_in(self, rows: dict[str, Model], page: str) -> None:
        answer = Client().get(path(page))

        assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")

    @pytest.mark.parametrize("page", READ_ONLY)
    def test_cannot_write_where_nothing_is_written_by_hand(
        self, staff: Client, rows: dict[str, Model], page: str
    ) -> None:
        assert staff.get(path(page, "add")).status_code == 403
        row = rows[page].pk
        assert staff.post(path(page, row, "change"), {"action": "x"}).status_code == 403
        assert staff.post(path(page, row, "delete"), {"post": "yes"}).status_code == 403

    @pytest.mark.parametrize("page", ["apikey", "seller"])
    def test_delete_nothing(self, staff: Client, rows: dict[str, Model], page: str) -> None:
        assert staff.post(path(page, rows[page].pk, "delete"), {"post": "yes"}).status_code == 403
        assert b"delete_selected" not in staff.get(path(page)).content

    def test_escape_what_people_have_written(self, staff: Client, rows: dict[str, Model]) -> None:
        for page in (path("apikey"), path("auditentry", rows["auditentry"].pk, "change")):
            content = staff.get(page).content
            assert b"<b>CI</b>" not in content
            assert b"&lt;b&gt;CI&lt;/b&gt;" in content


class TestLists:
    @pytest.mark.parametrize("page", ["auditentry", "outboxevent", "outboxdelivery"])
    def test_take_the_same_queries_for_many_rows_and_count_nothing(
        self, staff: Client, page: str, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        def store(count: int) -> None:
            with subscribed("invoice.made", ignore, key="h"):
                for _ in range(count):
                    event = emit(InvoiceMade(make_id()), at=NOON)
                    audit.record("x", subject=event, changes={}, actor=TESTER, at=NOON)

        store(2)
        staff.get(path(page))
        with CaptureQueriesContext(connection) as few:
            staff.get(path(page))
        store(20)
        with django_assert_num_queries(len(few)) as many:
            staff.get(path(page))

        assert not any("COUNT(" in query["sql"] for query in many)


class TestSearch:
    def test_finds_by_any_id(self, staff: Client, rows: dict[str, Model]) -> None:
        entry, key = rows["auditentry"], rows["apikey"]

        assert f"/{entry.pk}/change/" in staff.get(path("auditentry"), {"q": str(key.pk)}).content.decode()
        assert f"/{entry.pk}/" not in staff.get(path("auditentry"), {"q": str(make_id())}).content.decode()

    def test_finds_by_name(self, staff: Client, rows: dict[str, Model]) -> None:
        event = rows["outboxevent"]
        assert isinstance(event, OutboxEvent)
        link = f"/{event.position}/change/"

        assert link in staff.get(path("outboxevent"), {"q": "invoice.made"}).content.decode()
        assert link in staff.get(path("outboxevent"), {"q": str(event.id)}).content.decode()
        assert link not in staff.get(path("outboxevent"), {"q": "invoice"}).content.decode()


class TestHistory:
    def test_is_the_audit_trail_of_the_row(self, staff: Client, rows: dict[str, Model]) -> None:
        key = rows["apikey"]

        answer = staff.get(path("apikey", key.pk, "history"), follow=True)

        assert answer.status_code == 200
        content = answer.content.decode()
        assert f"/{rows['auditentry'].pk}/change/" in content
        assert "seller.created" not in content


class TestAuditEntry:
    def test_shows_before_and_after(self, staff: Client, db: None) -> None:
        key = make_api_key().api_key
        entry = audit.record(
            "key.renamed", subject=key, changes={"name": ("Old", "New")}, actor=TESTER, at=NOON
        )

        content = staff.get(path("auditentry", entry.pk, "change")).content.decode()

        assert '<td class="pr-4">Old</td><td>New</td>' in content
