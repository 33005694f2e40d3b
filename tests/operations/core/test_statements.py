"""Statements that are prepared, on Django's connection."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, connections, transaction
from django.db.transaction import TransactionManagementError
from pytest_django import DjangoAssertNumQueries

from billing_project.core.models import NumberSequence
from billing_project.core.statements import fetch_row, fetch_rows, fetch_rows_first, write_uuids

IDS = [UUID(int=1), UUID(int=2**127)]
MOMENT = datetime(2026, 2, 28, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=5, minutes=30)))
TAKE = """
    INSERT INTO core_numbersequence (series, last_number) VALUES (%(series)s, %(number)s)
    RETURNING last_number
"""
BACKEND = "SELECT pg_backend_pid()"


def list_prepared(statement: str) -> list[tuple[Any, ...]]:
    return fetch_rows("SELECT 1 FROM pg_prepared_statements WHERE statement = %(text)s", {"text": statement})


def end_connection() -> int:
    """Have PostgreSQL end this test's connection, as a restart would; return the process that it was."""
    backend: int = connection.connection.info.backend_pid
    with psycopg.connect(connection.connection.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    return backend


@pytest.mark.django_db
class TestFetchRows:
    @pytest.mark.parametrize(
        ("type_name", "value", "expected"),
        [
            ("text", "a 'quoted' \\ é {,}", "a 'quoted' \\ é {,}"),
            ("text", "", ""),
            ("int", -5, -5),
            ("numeric", 10**30, 10**30),
            ("boolean", True, True),
            ("uuid", IDS[1], IDS[1]),
            ("timestamptz", MOMENT, MOMENT.astimezone(UTC)),
            ("text[]", [], []),
            ("text[]", ["", "NULL", 'a "b" \\', "{,}", "é"], ["", "NULL", 'a "b" \\', "{,}", "é"]),
            ("int[]", [1, -2], [1, -2]),
            ("uuid[]", IDS, IDS),
            ("uuid[]", write_uuids(IDS), IDS),
            ("timestamptz[]", [MOMENT], [MOMENT]),
        ],
    )
    def test_hands_over_a_value_and_reads_it_back(
        self, type_name: str, value: object, expected: object
    ) -> None:
        assert fetch_rows(f"SELECT %(value)s::{type_name}", {"value": value}) == [(expected,)]

    def test_takes_a_parameter_twice_and_a_percent_sign(self) -> None:
        statement = "SELECT %(b)s::int %% %(a)s::int, %(b)s::int WHERE 'x' LIKE '%%'"

        assert fetch_rows(statement, {"a": 3, "b": 5, "unused": None}) == [(2, 5)]

    def test_answers_with_no_row_or_many(self) -> None:
        statement = "SELECT n FROM generate_series(1, %(count)s::int) AS n"

        assert fetch_rows(statement, {"count": 0}) == []
        assert fetch_rows(statement, {"count": 3}) == [(1,), (2,), (3,)]

    @pytest.mark.parametrize("value", ["a\x00b", ["a", "\x00"]])
    def test_refuses_a_nul_character_which_would_end_the_text(self, value: object) -> None:
        with pytest.raises(DataError, match="NUL"):
            fetch_rows("SELECT %(value)s::text", {"value": value})

    def test_refuses_what_it_cannot_write(self) -> None:
        with pytest.raises(TypeError, match="float"):
            fetch_rows("SELECT %(value)s::numeric", {"value": 0.1})

    def test_raises_the_errors_of_django(self) -> None:
        fetch_row(TAKE, {"series": "a", "number": 1})

        with pytest.raises(IntegrityError) as caught, transaction.atomic():
            fetch_row(TAKE, {"series": "a", "number": 2})

        assert isinstance(caught.value.__cause__, psycopg.errors.UniqueViolation)
        assert NumberSequence.objects.get().last_number == 1

    def test_does_nothing_in_a_transaction_that_is_to_be_rolled_back(self) -> None:
        with transaction.atomic():
            transaction.set_rollback(True)
            with pytest.raises(TransactionManagementError):
                fetch_row(TAKE, {"series": "a", "number": 1})

        assert not NumberSequence.objects.exists()

    def test_is_counted_where_tests_count(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        with django_assert_num_queries(1) as counted:
            fetch_rows("SELECT %(number)s::int", {"number": 7})

        assert counted.captured_queries[0]["sql"] == "SELECT %(number)s::int"


@pytest.mark.django_db(transaction=True)
class TestConnections:
    def test_belong_to_the_transaction_that_is_under_way(self) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            fetch_row(TAKE, {"series": "a", "number": 1})
            _ = 1 // 0
        assert not NumberSequence.objects.exists()

        with transaction.atomic():
            fetch_row(TAKE, {"series": "a", "number": 1})
        assert NumberSequence.objects.exists()

    def test_keep_what_is_done_outside_of_any_transaction(self) -> None:
        fetch_row(TAKE, {"series": "a", "number": 1})
        connection.close()

        assert NumberSequence.objects.exists()

    def test_prepare_a_statement_once_each(self) -> None:
        for _ in range(3):
            fetch_rows("SELECT %(number)s::int + 1", {"number": 1})
        assert len(list_prepared("SELECT $1::int + 1")) == 1

        connection.close()

        assert list_prepared("SELECT $1::int + 1") == []
        assert fetch_rows("SELECT %(number)s::int + 1", {"number": 1}) == [(2,)]
        assert len(list_prepared("SELECT $1::int + 1")) == 1

    def test_prepare_nothing_where_a_pooler_stands_between(self) -> None:
        connection.close()
        connection.ensure_connection()
        connection.connection.prepare_threshold = None
        try:
            assert fetch_rows("SELECT %(number)s::int + 2", {"number": 1}) == [(3,)]
            assert list_prepared("SELECT $1::int + 2") == []
        finally:
            connection.close()


@pytest.mark.django_db(transaction=True)
class TestFetchRowsFirst:
    def test_takes_a_new_connection_where_the_old_one_is_lost(self) -> None:
        fetch_rows_first(BACKEND, {})
        lost = end_connection()

        assert fetch_rows_first(BACKEND, {}) != [(lost,)]

    def test_fails_within_a_transaction_whose_connection_is_lost(self) -> None:
        with pytest.raises(OperationalError), transaction.atomic():
            fetch_rows_first(BACKEND, {})
            end_connection()
            fetch_rows_first(BACKEND, {})
        connection.close()

    def test_fails_where_it_is_not_the_connection(self) -> None:
        fetch_rows_first(BACKEND, {})
        before = connection.connection

        fetch_rows("SELECT set_config('statement_timeout', '50', false)", {})
        with pytest.raises(OperationalError, match="statement timeout"):
            fetch_rows_first("SELECT pg_sleep(5)", {})

        assert connection.connection is before
        connection.close()

    def test_answers_whether_the_connection_is_there_before_django_asks(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection.ensure_connection()
        own = connections[connection.alias]
        monkeypatch.setattr(own, "health_check_enabled", True)
        monkeypatch.setattr(own, "health_check_done", False)
        fetch_rows_first(BACKEND, {})
        end_connection()

        with pytest.raises(OperationalError):  # Had Django asked, it would have made a new one.
            NumberSequence.objects.exists()
        connection.close()


@pytest.mark.django_db
class TestFetchRow:
    def test_answers_with_the_row(self) -> None:
        assert fetch_row("SELECT 1, 'a'", {}) == (1, "a")

    def test_is_for_statements_that_have_one(self) -> None:
        with pytest.raises(AssertionError):
            fetch_row("SELECT 1 WHERE false", {})
