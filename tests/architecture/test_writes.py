"""Only operations write: each change of a row has one place that checks it, locks for it and records it."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.sources import Module, parse, place, read_product, walk_calls

WRITES = {
    "abulk_create",
    "abulk_update",
    "acreate",
    "adelete",
    "aget_or_create",
    "asave",
    "aupdate_or_create",
    "bulk_create",
    "bulk_update",
    "create",
    "create_superuser",
    "create_user",
    "delete",
    "get_or_create",
    "save",
    "update_or_create",
}
WRITING_SQL = re.compile(
    r"\A\s*(?i:insert\s+into|update\s+\S+\s+set|delete\s+from)\b"
    r"|\b(?:INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|TRUNCATE|COPY)\b"
)

# Where a write outside operations is right, with the reason. An entry that is no longer needed fails.
ALLOWED: dict[str, str] = {
    "invoicing/runs/bill_runs.py": "operations on bill runs, beside the other steps of a run",
    "metering/ingest/copying.py": "the same statement, for many events at once",
    "metering/ingest/writing.py": "the one statement of metering.ingest.operations, which is long",
}


def may_write(module: Module) -> bool:
    """Whether the module is one of those that write."""
    return (
        module.path.startswith("billing_project/core/")
        or "operations" in module.parts
        or module.parts[-1] == "locks"
    )


def find_writes(module: Module) -> Iterator[str]:
    """Find calls that write rows, and SQL that does."""
    for call in walk_calls(module):
        match call.func:
            case ast.Attribute(attr=name) if name in WRITES or (
                name == "update" and is_queryset_update(call)
            ):
                yield place(module, call, f".{name}(")
    for text in walk_texts(module):
        if match := WRITING_SQL.search(str(text.value)):
            yield place(module, text, f"SQL {match[0].strip()}")


def walk_texts(module: Module) -> Iterator[ast.Constant]:
    """Walk over a module's strings, without docstrings."""
    statements = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node


def is_queryset_update(call: ast.Call) -> bool:
    """Tell a QuerySet's update, which names columns, from that of a mapping, a set or a hash."""
    return not call.args and bool(call.keywords)


class TestWrites:
    def test_are_only_in_operations(self) -> None:
        found = [
            breach
            for module in read_product()
            if not may_write(module) and module.path not in ALLOWED
            for breach in find_writes(module)
        ]

        assert found == [], "\n".join(found)

    def test_need_every_exception_that_is_listed(self) -> None:
        written = {module.path for module in read_product() if any(find_writes(module))}

        assert ALLOWED.keys() - written == set()


class TestFindWrites:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("invoice.save()", ".save("),
            ("Invoice.objects.create(status='Draft')", ".create("),
            ("Invoice.objects.filter(id=1).update(status='Open')", ".update("),
            ("invoice.lines.update(is_billed=True)", ".update("),
            ("invoice.delete()", ".delete("),
            ("Invoice.objects.bulk_create(rows)", ".bulk_create("),
            ("Invoice.objects.get_or_create(number=1)", ".get_or_create("),
            ("cursor.execute('INSERT INTO event VALUES (1)')", "SQL INSERT INTO"),
            ("cursor.execute('update period set closed_at = %s', [at])", "SQL update period set"),
            ("cursor.execute(f'DELETE FROM {table}')", "SQL DELETE FROM"),
            ("SQL = 'WITH fresh AS (INSERT INTO event SELECT 1) SELECT 2'", "SQL INSERT INTO"),
        ],
    )
    def test_sees(self, text: str, message: str) -> None:
        assert list(find_writes(parse(text))) == [f"catalog/sample.py:1: {message}"]

    @pytest.mark.parametrize(
        "text",
        [
            "totals.update({'tax': 1})",
            "digest.update(body)",
            "seen.update(ids)",
            "cursor.execute('SELECT 1')",
            "message = 'Update the draft first.'",
            '"""COPY is what the benchmark compares with."""',
        ],
    )
    def test_lets_pass(self, text: str) -> None:
        assert list(find_writes(parse(text))) == []
