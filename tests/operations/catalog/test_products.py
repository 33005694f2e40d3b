"""Products."""

import pytest

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from catalog.models import CatalogStatus, Product
from catalog.operations import create_product, update_product
from tests.factories.catalog import make_product
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db


class TestCreateProduct:
    def test_keeps_what_is_said(self) -> None:
        product = create_product(
            name="LLM API", description="Tokens", tags=("llm", "api"), at=NOON, actor=TESTER
        )

        product.refresh_from_db()
        assert (product.name, product.description, product.tags, product.status) == (
            "LLM API",
            "Tokens",
            ["llm", "api"],
            CatalogStatus.ACTIVE,
        )

    def test_is_recorded(self) -> None:
        product = make_product(name="LLM API")

        entry = AuditEntry.objects.get()
        assert (entry.action, entry.subject_type, entry.subject_id) == (
            "product.created",
            "catalog.Product",
            str(product.pk),
        )
        assert (entry.actor_id, entry.occurred_at) == (TESTER.id, NOON)
        assert entry.changes == {
            "name": [None, "LLM API"],
            "description": [None, ""],
            "tags": [None, []],
            "status": [None, "Active"],
        }


class TestUpdateProduct:
    def test_changes_what_is_named_and_records_that(self) -> None:
        product = make_product(name="LLM API")

        update_product(
            product_id=product.pk,
            changes={"name": "LLM", "status": CatalogStatus.ARCHIVED, "description": ""},
            at=NOON,
            actor=TESTER,
        )

        product.refresh_from_db()
        assert (product.name, product.status) == ("LLM", CatalogStatus.ARCHIVED)
        entry = AuditEntry.objects.get(action="product.updated")
        assert entry.changes == {"name": ["LLM API", "LLM"], "status": ["Active", "Archived"]}

    def test_records_nothing_where_nothing_changes(self) -> None:
        product = make_product(name="LLM API")

        update_product(product_id=product.pk, changes={"name": "LLM API"}, at=NOON, actor=TESTER)

        assert not AuditEntry.objects.filter(action="product.updated").exists()

    def test_refuses_an_unknown_product(self) -> None:
        with pytest.raises(NotFound):
            update_product(product_id=make_id(), changes={"name": "LLM"}, at=NOON, actor=TESTER)

        assert not Product.objects.exists()
