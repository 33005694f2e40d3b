"""Rules that the database enforces, on tables of the test's own."""

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction

from billing_project.core.protection import append_only, frozen_when, frozen_with_parent

pytestmark = pytest.mark.django_db


@pytest.fixture
def tables() -> Iterator[tuple[type[models.Model], type[models.Model]]]:
    """Make a document that is frozen once it is final, and its lines."""

    class Document(models.Model):
        is_final = models.BooleanField(default=False)
        title = models.CharField(max_length=10, null=True)
        paid = models.IntegerField(default=0)

        class Meta:
            app_label = "protection"
            triggers = [*frozen_when("OLD.is_final", except_fields=["paid"])]

        def __str__(self) -> str:
            return "document"

    class Line(models.Model):
        document = models.ForeignKey(Document, on_delete=models.CASCADE)
        amount = models.IntegerField(default=0)
        note = models.CharField(max_length=10, default="")

        class Meta:
            app_label = "protection"
            triggers = [
                *frozen_with_parent(
                    table="protection_document",
                    link="document_id",
                    condition="parent.is_final",
                    except_fields=["note"],
                )
            ]

        def __str__(self) -> str:
            return "line"

    try:
        with connection.schema_editor() as editor:
            for model in (Document, Line):
                editor.create_model(model)
        with connection.cursor() as cursor:
            for model in (Document, Line):
                for trigger in model._meta.triggers:  # type: ignore[union-attr]
                    cursor.execute(trigger.compile(model).install_sql)
        yield Document, Line
    finally:
        del apps.all_models["protection"]
        apps.clear_cache()


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


class TestFrozenWhen:
    @pytest.fixture(autouse=True)
    def rows(self, tables: object) -> None:
        run(
            "INSERT INTO protection_document (id, is_final, title, paid) OVERRIDING SYSTEM VALUE "
            "VALUES (1, true, 'final', 0), (2, false, 'draft', 0), (3, true, NULL, 0)"
        )

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE protection_document SET title = 'x' WHERE id = 1",
            "UPDATE protection_document SET title = NULL WHERE id = 1",
            "UPDATE protection_document SET title = 'x' WHERE id = 3",
            "UPDATE protection_document SET is_final = false WHERE id = 1",
            "UPDATE protection_document SET id = 9 WHERE id = 1",
            "UPDATE protection_document SET paid = 5, title = 'x' WHERE id = 1",
            "DELETE FROM protection_document WHERE id = 1",
            "TRUNCATE protection_document CASCADE",
        ],
    )
    def test_refuses(self, statement: str) -> None:
        with pytest.raises(IntegrityError, match=r"protection_\w+ (is|belongs)\b.* is refused"):
            run(statement)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE protection_document SET paid = 5 WHERE id = 1",
            "UPDATE protection_document SET title = title WHERE id IN (1, 3)",
            "UPDATE protection_document SET title = 'x', is_final = true WHERE id = 2",
            "DELETE FROM protection_document WHERE id = 2",
        ],
    )
    def test_lets_pass(self, statement: str) -> None:
        run(statement)

    def test_knows_the_fields_that_it_excepts(self, tables: tuple[type[models.Model], ...]) -> None:
        trigger = frozen_when("TRUE", except_fields=["nosuch"])[0]

        with pytest.raises(AssertionError, match="nosuch"):
            trigger.compile(tables[0])  # type: ignore[arg-type]


class TestFrozenWithParent:
    @pytest.fixture(autouse=True)
    def rows(self, tables: object) -> None:
        run(
            "INSERT INTO protection_document (id, is_final, title, paid) OVERRIDING SYSTEM VALUE "
            "VALUES (1, false, 'final', 0), (2, false, 'draft', 0)"
        )
        run(
            "INSERT INTO protection_line (id, document_id, amount, note) OVERRIDING SYSTEM VALUE "
            "VALUES (11, 1, 5, ''), (12, 2, 5, '')"
        )
        run("UPDATE protection_document SET is_final = true WHERE id = 1")
        run("SET CONSTRAINTS ALL IMMEDIATE")  # Else TRUNCATE is refused for another reason.

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO protection_line (document_id, amount, note) VALUES (1, 5, '')",
            "UPDATE protection_line SET amount = 6 WHERE id = 11",
            "UPDATE protection_line SET document_id = 2 WHERE id = 11",
            "UPDATE protection_line SET document_id = 1 WHERE id = 12",
            "DELETE FROM protection_line WHERE id = 11",
            "TRUNCATE protection_line",
        ],
    )
    def test_refuses(self, statement: str) -> None:
        with pytest.raises(IntegrityError, match="protection_line belongs to a frozen parent: .* is refused"):
            run(statement)

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO protection_line (document_id, amount, note) VALUES (2, 5, '')",
            "UPDATE protection_line SET amount = 6 WHERE id = 12",
            "UPDATE protection_line SET note = 'x' WHERE id = 11",
            "DELETE FROM protection_line WHERE id = 12",
        ],
    )
    def test_lets_pass(self, statement: str) -> None:
        run(statement)


class TestAppendOnly:
    def test_has_a_trigger_for_rows_and_one_for_the_table(self) -> None:
        assert [trigger.name for trigger in append_only()] == ["append_only", "no_truncate"]
