"""Prepared statements, straight on libpq: for the few that every request or every batch of events runs.

Django's cursor writes the parameters into the text, which PostgreSQL then plans anew each time. A cursor of
psycopg's prepares, but is made to be waited for in many ways: around a statement that takes PostgreSQL 20
microseconds, its Python takes 60. libpq itself takes 10, and lets other threads run while it waits.
"""

import hashlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, DataError, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

NUL = b"\x00"
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|%)")


@dataclass(frozen=True, slots=True)
class _Statement:
    """A statement as PostgreSQL takes it: with numbered placeholders, and which parameter each of them is."""

    name: bytes
    text: bytes
    parameter_names: Sequence[str]


# What each connection has prepared.
_prepared: WeakKeyDictionary[psycopg.Connection[Any], set[bytes]] = WeakKeyDictionary()


def fetch_row(statement: str, parameters: Mapping[str, object]) -> tuple[Any, ...]:
    """Run a statement that answers with one row."""
    rows = fetch_rows(statement, parameters)
    assert len(rows) == 1, "The statement answers with one row."
    return rows[0]


def fetch_rows(statement: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection, in the transaction that is under way, if one is.

    The statement is a constant, with `%(name)s` where a parameter stands, which must tell PostgreSQL of what
    type it is, and `%%` for a percent sign.
    """
    return _fetch(connections[DEFAULT_DB_ALIAS], statement, parameters)


def fetch_rows_first(statement: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Run a statement that only reads, as the first of a request; if the connection was lost, on a new one.

    So it also answers what Django would ask of a connection before it uses it again (CONN_HEALTH_CHECKS).
    """
    own = connections[DEFAULT_DB_ALIAS]
    if own.in_atomic_block:
        return _fetch(own, statement, parameters)
    try:
        rows = _fetch(own, statement, parameters)
    except (InterfaceError, OperationalError):
        if own.is_usable():
            raise
        own.close()
        rows = _fetch(own, statement, parameters)
    own.health_check_done = True  # type: ignore[attr-defined] # The stubs do not know it.
    return rows


def write_uuids(ids: Iterable[UUID]) -> str:
    """Write an array of ids as PostgreSQL reads it; it is faster than to hand them over in a list."""
    return "{" + ",".join([value.hex for value in ids]) + "}"


def _fetch(
    own: BaseDatabaseWrapper, statement: str, parameters: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    own.validate_no_broken_transaction()
    own.ensure_connection()
    started = time.perf_counter()
    with own.wrap_database_errors:
        rows = _run(own.connection, _translate(statement), parameters)
    if own.force_debug_cursor:  # As Django's cursor does, for tests that count statements.
        own.queries_log.append({"sql": statement, "time": f"{time.perf_counter() - started:.3f}"})
    return rows


@cache
def _translate(statement: str) -> _Statement:
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] is None:
            return "%"
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    text = _PLACEHOLDER.sub(number, statement).encode()
    return _Statement(f"billing_{hashlib.blake2b(text, digest_size=16).hexdigest()}".encode(), text, names)


def _run(
    handle: psycopg.Connection[Any], statement: _Statement, parameters: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    pgconn = handle.pgconn
    values = [_write(parameters[name]) for name in statement.parameter_names]
    if pgconn.transaction_status == pq.TransactionStatus.IDLE and not handle.autocommit:
        _check(pgconn, pgconn.exec_(b"BEGIN"))  # As psycopg does before the first statement.
    if handle.prepare_threshold is None:
        result = pgconn.exec_params(statement.text, values)
    else:
        known = _prepared.setdefault(handle, set())
        if statement.name not in known:
            _check(pgconn, pgconn.prepare(statement.name, statement.text))
            known.add(statement.name)
        result = pgconn.exec_prepared(statement.name, values)
    _check(pgconn, result)
    reader = Transformer(handle)
    reader.set_pgresult(result)
    return reader.load_rows(0, result.ntuples, tuple)


def _check(pgconn: pq.abc.PGconn, result: pq.abc.PGresult) -> None:
    """Raise what PostgreSQL answered with, if that is an error."""
    if result.status == pq.ExecStatus.FATAL_ERROR:
        if pgconn.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError(result.get_error_message())
        raise error_from_result(result)


def _write(value: object) -> bytes:
    """Write a parameter as PostgreSQL reads it.

    Raises: DataError if it has a NUL character, with which a text ends for libpq.
    """
    match value:
        case str():
            written = value.encode()
            if NUL in written:
                raise DataError("A text has a NUL character in it.")
            return written
        case datetime():
            return value.isoformat().encode()
        case int() | UUID():
            return str(value).encode()
        case list():
            return b"{" + b",".join([_write_quoted(item) for item in value]) + b"}"
    raise TypeError(f"A parameter cannot be of type {type(value).__name__}.")


def _write_quoted(value: object) -> bytes:
    """Write an item of an array."""
    return b'"' + _write(value).replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
