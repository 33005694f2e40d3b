"""Running the statements of ingest: few and long ones, prepared once for each connection.

Django's own cursor would write the parameters into the text, which is then planned anew for each batch;
planning the five tables of one of these takes longer than reading them.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection


def fetch_row(statement: str, parameters: Mapping[str, object]) -> tuple[Any, ...]:
    """Run a statement that answers with one row."""
    rows = fetch_rows(statement, parameters)
    assert len(rows) == 1, "The statement is an aggregate."
    return rows[0]


def fetch_rows(statement: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection, in the transaction that is under way."""
    assert connection.in_atomic_block, "What ingest reads and writes belongs to one transaction."
    with connection.wrap_database_errors:
        return psycopg.Cursor(connection.connection).execute(statement, parameters, prepare=True).fetchall()


def write_uuids(ids: Iterable[UUID]) -> str:
    """Write an array of ids as PostgreSQL reads it; a list of them would be adapted one by one."""
    return "{" + ",".join([value.hex for value in ids]) + "}"
