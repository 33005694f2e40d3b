"""The form of functions: imports at the top; operations that say what they take, each one transaction."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import Module, parse, place, read_everything, read_product

# Operations that lack an argument every operation has, with the reason. An entry no longer needed fails.
EXEMPT: dict[str, str] = {
    "metering.operations.ingestion.ingest_events: no actor": (
        "stores what a client says has happened, which changes nothing that the audit trail follows"
    ),
    "metering.operations.notes.note_ingest: no actor": (
        "keeps for some days what a client did, which changes nothing that the audit trail follows"
    ),
    "metering.operations.notes.delete_old_notes: no actor": (
        "deletes what is kept for some days only, the same whoever asks"
    ),
    "metering.operations.ingestion.ingest_many_events: no actor": (
        "stores what a client says has happened, which changes nothing that the audit trail follows"
    ),
    "metering.importing.operations.import_chunk: no actor": (
        "stores what a file says has happened, for the import that an operator has begun"
    ),
    "metering.operations.late_usage.take_late_usage: no at and no actor": (
        "takes marks off a list for the bill run, which records what it does about them"
    ),
    "metering.operations.rebuilding.rebuild_stretch: no at and no actor": (
        "makes rows that follow from the stored events alone, the same whoever asks, and when"
    ),
    "metering.operations.undoing.undo_events: no at and no actor": (
        "takes out of sums what a correction, which is recorded, says does not count"
    ),
    "subscriptions.operations.laying.lay_again: no actor": (
        "makes rows say what follows from the changes, which are recorded, the same whoever asks"
    ),
    "subscriptions.operations.periods.ensure_periods: no at and no actor": (
        "makes rows that follow from the schedule alone, the same whoever asks, and when"
    ),
    "subscriptions.operations.settling.set_period_due: no at and no actor": (
        "moves a mark of the bill runs on, which says nothing about the subscription"
    ),
}

EXPECTED_ARGUMENTS = ("at", "actor")


def find_inner_imports(module: Module) -> Iterator[str]:
    """Find imports inside functions, where they hide what a module depends on."""
    for function in ast.walk(module.tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and not is_ready_hook(
            module, function
        ):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield place(module, node, f"import inside {function.name}")


def is_ready_hook(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell Django's `AppConfig.ready`, which runs once models can be imported; apps.py itself runs before."""
    return module.parts[-1] == "apps" and function.name == "ready"


def is_operations(module: Module) -> bool:
    """Whether a module holds operations."""
    return "operations" in module.parts


def walk_operations(module: Module) -> Iterator[ast.FunctionDef]:
    """Walk over the public functions of a module of operations."""
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def find_loose_signatures(module: Module) -> Iterator[str]:
    """Find operations whose arguments can be given by place, or have no type, or have no end."""
    for function in walk_operations(module):
        arguments = function.args
        if arguments.posonlyargs or arguments.args:
            yield place(module, function, f"{function.name} takes arguments by place")
        if arguments.vararg or arguments.kwarg:
            yield place(module, function, f"{function.name} takes any argument")
        untyped = [argument.arg for argument in arguments.kwonlyargs if argument.annotation is None]
        if untyped or function.returns is None:
            yield place(module, function, f"{function.name} is not typed")


def find_missing_arguments(module: Module) -> Iterator[str]:
    """Find operations that do not say when they happen, or who acts, and name them as the table does."""
    for function in walk_operations(module):
        taken = {argument.arg for argument in function.args.kwonlyargs}
        missing = [name for name in EXPECTED_ARGUMENTS if name not in taken]
        if missing:
            yield f"{'.'.join(module.parts)}.{function.name}: no {' and no '.join(missing)}"


def find_open_operations(module: Module) -> Iterator[str]:
    """Find operations that are not one transaction."""
    for function in walk_operations(module):
        if not any(is_atomic(decorator) for decorator in function.decorator_list):
            yield place(module, function, f"{function.name} is not @transaction.atomic")


def is_atomic(decorator: ast.expr) -> bool:
    """Whether a decorator is `transaction.atomic`, with options or without."""
    name = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(name) == "transaction.atomic"


class TestImports:
    def test_are_at_the_top(self) -> None:
        found = [breach for module in read_everything() for breach in find_inner_imports(module)]

        assert found == [], "\n".join(found)


class TestOperations:
    def test_are_keyword_only_and_typed(self) -> None:
        found = [
            breach
            for module in read_product()
            if is_operations(module)
            for breach in find_loose_signatures(module)
        ]

        assert found == [], "\n".join(found)

    def test_take_the_time_and_the_actor(self) -> None:
        found = [
            breach
            for module in read_product()
            if is_operations(module)
            for breach in find_missing_arguments(module)
            if breach not in EXEMPT
        ]

        assert found == [], "\n".join(found)

    def test_need_every_exemption_that_is_listed(self) -> None:
        missing = {
            breach
            for module in read_product()
            if is_operations(module)
            for breach in find_missing_arguments(module)
        }

        assert EXEMPT.keys() - missing == set()

    def test_are_transactions(self) -> None:
        found = [
            breach
            for module in read_product()
            if is_operations(module)
            for breach in find_open_operations(module)
        ]

        assert found == [], "\n".join(found)


class TestFindInnerImports:
    def test_sees_an_import_in_a_function(self) -> None:
        module = parse("def read() -> int:\n    from math import floor\n    return floor(1)\n")

        assert list(find_inner_imports(module)) == ["catalog/sample.py:2: import inside read"]

    def test_lets_an_app_be_set_up(self) -> None:
        text = "class App:\n    def ready(self) -> None:\n        import catalog.events\n"

        assert list(find_inner_imports(parse(text, "catalog/apps.py"))) == []
        assert list(find_inner_imports(parse(text))) == ["catalog/sample.py:3: import inside ready"]


class TestFindLooseSignatures:
    @pytest.mark.parametrize(
        ("signature", "message"),
        [
            ("void(invoice_id: int) -> None", "void takes arguments by place"),
            ("void(invoice_id: int, /) -> None", "void takes arguments by place"),
            ("void(*ids: int) -> None", "void takes any argument"),
            ("void(*, at: int, **options: int) -> None", "void takes any argument"),
            ("void(*, at) -> None", "void is not typed"),
            ("void(*, at: int)", "void is not typed"),
        ],
    )
    def test_sees(self, signature: str, message: str) -> None:
        module = parse(f"def {signature}: ...")

        assert list(find_loose_signatures(module)) == [f"catalog/sample.py:1: {message}"]

    def test_lets_good_and_private_functions_pass(self) -> None:
        module = parse("def void(*, at: int, actor: str) -> None: ...\ndef _void(row): ...\n")

        assert list(find_loose_signatures(module)) == []


class TestFindMissingArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("*, actor: str", "no at"),
            ("*, at: int", "no actor"),
            ("", "no at and no actor"),
        ],
    )
    def test_sees(self, arguments: str, message: str) -> None:
        module = parse(f"def void({arguments}) -> None: ...", "catalog/operations.py")

        assert list(find_missing_arguments(module)) == [f"catalog.operations.void: {message}"]

    def test_lets_a_whole_operation_pass(self) -> None:
        assert list(find_missing_arguments(parse("def void(*, at: int, actor: str) -> None: ..."))) == []


class TestFindOpenOperations:
    @pytest.mark.parametrize("decorator", ["@transaction.atomic", "@transaction.atomic(durable=True)"])
    def test_lets_a_transaction_pass(self, decorator: str) -> None:
        assert list(find_open_operations(parse(f"{decorator}\ndef void() -> None: ..."))) == []

    def test_sees_an_operation_without_one(self) -> None:
        module = parse("@cache\ndef void() -> None: ...")

        assert list(find_open_operations(module)) == ["catalog/sample.py:2: void is not @transaction.atomic"]
