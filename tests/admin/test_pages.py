"""Every page of the domain apps opens, for those who may, and asks the database a constant number of times."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from metering.models import ArchivedEvent, ArchivedSegment, EventVoid, UsageRollup, UsageValue
from tests.admin.core.conftest import MakeStaff
from tests.admin.rows import bill_finally, make_rows, make_subscription, make_usage, park

APPS = ("catalog", "customers", "subscriptions", "metering", "invoicing")
# Sums of events, with keys of six columns; the events of a correction, which are on its page; and what an
# archive has in it, for which there are its files.
WITHOUT_PAGE = {UsageRollup, UsageValue, EventVoid, ArchivedEvent, ArchivedSegment}
MODELS = [
    model for app in APPS for model in apps.get_app_config(app).get_models() if model not in WITHOUT_PAGE
]
PAGES = [f"{model._meta.app_label}/{model._meta.model_name}" for model in MODELS]
WITH_ROW_PAGE = [page for page in PAGES if page != "metering/usageevent"]
EDITED = {
    "catalog/meter",
    "catalog/plan",
    "catalog/product",
    "catalog/sku",
    "customers/customer",
    "customers/testclock",
}


@pytest.fixture
def rows(db: None) -> dict[str, Model]:
    return make_rows()


def path(page: str, *parts: Any) -> str:
    return "/".join(["/admin", page, *(str(part) for part in parts), ""])


class TestPages:
    def test_are_there_for_every_model(self) -> None:
        assert [model for model in MODELS if not admin.site.is_registered(model)] == []
        assert not admin.site.is_registered(UsageRollup)

    @pytest.mark.parametrize("page", PAGES)
    def test_list_their_rows(self, staff: Client, rows: dict[str, Model], page: str) -> None:
        answer = staff.get(path(page))

        assert answer.status_code == 200
        if page in rows:
            assert f"{path(page, rows[page].pk, 'change')}" in answer.content.decode()

    @pytest.mark.parametrize("page", WITH_ROW_PAGE)
    def test_show_a_row(self, staff: Client, rows: dict[str, Model], page: str) -> None:
        assert staff.get(path(page, rows[page].pk, "change")).status_code == 200

    @pytest.mark.parametrize("page", WITH_ROW_PAGE)
    def test_show_a_row_to_those_who_may_only_look(
        self, make_staff: MakeStaff, rows: dict[str, Model], page: str
    ) -> None:
        client = make_staff(f"view_{page.partition('/')[2]}")

        assert client.get(path(page)).status_code == 200
        answer = client.get(path(page, rows[page].pk, "change"))
        assert answer.status_code == 200
        assert b'name="_save"' not in answer.content
        assert b'hx-target="#modal-content"' not in answer.content  # No action opens a dialog.
        assert client.post(path(page, rows[page].pk, "change"), {"name": "x"}).status_code == 403

    @pytest.mark.parametrize("page", PAGES)
    def test_are_closed_to_staff_without_the_right(
        self, make_staff: MakeStaff, rows: dict[str, Model], page: str
    ) -> None:
        client = make_staff()

        assert client.get(path(page)).status_code == 403
        if page in rows:
            assert client.get(path(page, rows[page].pk, "change")).status_code == 403

    @pytest.mark.parametrize("page", PAGES)
    def test_ask_strangers_to_sign_in(self, db: None, page: str) -> None:
        assert Client().get(path(page))["Location"].partition("?")[0] == "/admin/login/"

    @pytest.mark.parametrize("page", sorted(set(PAGES) - EDITED))
    def test_write_nothing_by_hand(self, staff: Client, rows: dict[str, Model], page: str) -> None:
        assert staff.get(path(page, "add")).status_code == 403
        if page in rows:
            assert staff.post(path(page, rows[page].pk, "change"), {"status": "Paid"}).status_code == 403

    @pytest.mark.parametrize("page", WITH_ROW_PAGE)
    def test_delete_nothing(self, staff: Client, rows: dict[str, Model], page: str) -> None:
        assert staff.post(path(page, rows[page].pk, "delete"), {"post": "yes"}).status_code == 403
        assert b"delete_selected" not in staff.get(path(page)).content

    @pytest.mark.parametrize("page", WITH_ROW_PAGE)
    def test_have_no_row_of_an_unknown_or_broken_id(self, staff: Client, db: None, page: str) -> None:
        for row_id in ("0192aaaa-0000-7000-8000-000000000000", "nonsense"):
            answer = staff.get(path(page, row_id, "change"))

            assert (answer.status_code, answer["Location"]) == (302, "/admin/")

    @pytest.mark.parametrize("page", PAGES)
    @pytest.mark.parametrize("text", ["nonsense", "%_'\x00", "0192aaaa-0000-7000-8000-000000000000"])
    def test_search_for_anything(self, staff: Client, db: None, page: str, text: str) -> None:
        answer = staff.get(path(page), {"q": text}, follow=True)

        assert answer.status_code == 200


class TestLists:
    @pytest.mark.parametrize("page", PAGES)
    def test_take_the_same_queries_for_many_rows(self, staff: Client, db: None, page: str) -> None:
        query: dict[str, Any] = {}

        def store(name: str) -> None:
            subscription = make_subscription(name)
            for _ in range(3):
                make_usage(subscription)
            bill_finally(subscription)
            park(subscription)
            query.setdefault("customer_id", subscription.customer_id)

        def read() -> int:
            own = query if page == "metering/usageevent" else {}
            with CaptureQueriesContext(connection) as queries:
                assert staff.get(path(page), own).status_code == 200
            return len(queries)

        store("One")
        read()
        few = read()
        store("Two")
        store("Three")

        assert read() == few
