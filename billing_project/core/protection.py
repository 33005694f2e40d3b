"""Rules that the database itself enforces, so that no road leads around them, not even SQL.

They are triggers, written into migrations by django-pgtrigger from a model's `Meta.triggers`:

    class Meta:
        triggers = [*append_only()]
        triggers = [*frozen_when("OLD.status <> 'Draft'", except_fields=["status", "paid_at"])]
        triggers = [*frozen_with_parent(table="app_parent", link="parent_id", condition="parent.is_final")]

A refused statement fails with `IntegrityError` (SQLSTATE 23001, restrict_violation) and a sentence that says
why. Unlike pgtrigger's own, these triggers do not look at the session variable `pgtrigger.ignore`.
"""

from collections.abc import Iterable

import pgtrigger
from django.db import models
from pgtrigger import compiler

# TRUNCATE is a statement: it has no rows to look at, so it is refused whole.
_EVERY_ROW_CHANGE = pgtrigger.Update | pgtrigger.Delete


class StrictTriggerSql(compiler.UpsertTriggerSql):
    """The SQL that installs a trigger which nothing can ask to look away. Migrations refer to it by name."""

    def get_template(self) -> str:
        """Return the template; a change to it would change what old migrations did."""
        return """
            CREATE OR REPLACE FUNCTION {pgid}() RETURNS TRIGGER AS $$
                {declare}
                BEGIN
                    {func}
                END;
            $$ LANGUAGE plpgsql;

            DROP TRIGGER IF EXISTS {pgid} ON {table};
            CREATE {constraint} TRIGGER {pgid}
                {when} {operation} ON {table}
                {timing}
                {referencing}
                FOR EACH {level} {condition}
                EXECUTE FUNCTION {execute};

            COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';
        """


class StrictTrigger(pgtrigger.Trigger):
    """A trigger that cannot be switched off for a session."""

    def compile(self, model: models.Model) -> compiler.Trigger:
        """Render the trigger with the strict template."""
        return compiler.Trigger(
            name=self.name,
            sql=StrictTriggerSql(
                pgid=self.get_pgid(model),
                declare=self.render_declare(model),
                func=self.render_func(model),
                table=model._meta.db_table,
                when=self.when,
                operation=self.operation,
                level=self.level,
                condition=self.render_condition(model),
            ),
        )


def append_only() -> tuple[StrictTrigger, ...]:
    """Let rows be added, and nothing else: no change, no removal, no truncation."""
    return (
        StrictTrigger(
            name="append_only",
            when=pgtrigger.Before,
            operation=_EVERY_ROW_CHANGE,
            func=refuse("is append-only"),
        ),
        _no_truncate("is append-only"),
    )


def frozen_when(condition: str, *, except_fields: Iterable[str]) -> tuple[StrictTrigger, ...]:
    """Refuse to change or remove a row for which the SQL `condition` on OLD holds, but for some columns.

    `except_fields` are the names of the model fields that may still change; the condition may name OLD only.
    """
    excepted = tuple(except_fields)
    reason = "is frozen"
    return (
        StrictTrigger(
            name="frozen_update",
            when=pgtrigger.Before,
            operation=pgtrigger.Update,
            condition=_OldAndChanged(condition, excepted),
            func=refuse(reason),
        ),
        StrictTrigger(
            name="frozen_delete",
            when=pgtrigger.Before,
            operation=pgtrigger.Delete,
            condition=pgtrigger.Condition(condition),
            func=refuse(reason),
        ),
        _no_truncate(reason),
    )


def frozen_with_parent(
    *, table: str, link: str, condition: str, except_fields: Iterable[str] = ()
) -> tuple[StrictTrigger, ...]:
    """Refuse to add, change or remove a row whose parent satisfies the SQL `condition` on `parent`.

    `table` is the parent's table, `link` the column that holds its id. A row cannot be moved to another
    parent of that kind either. `except_fields` are the names of the model fields that may still change.
    """
    refusal = refuse("belongs to a frozen parent")
    of_old, of_new = (
        f"EXISTS (SELECT 1 FROM {table} parent WHERE parent.id = {row}.{link} AND ({condition}))"  # noqa: S608
        for row in ("OLD", "NEW")
    )
    return (
        StrictTrigger(
            name="frozen_parent_insert",
            when=pgtrigger.Before,
            operation=pgtrigger.Insert,
            func=f"IF {of_new} THEN {refusal} END IF; RETURN NEW;",
        ),
        StrictTrigger(
            name="frozen_parent_update",
            when=pgtrigger.Before,
            operation=pgtrigger.Update,
            condition=_OldAndChanged("TRUE", tuple(except_fields)),
            func=f"IF {of_old} OR {of_new} THEN {refusal} END IF; RETURN NEW;",
        ),
        StrictTrigger(
            name="frozen_parent_delete",
            when=pgtrigger.Before,
            operation=pgtrigger.Delete,
            func=f"IF {of_old} THEN {refusal} END IF; RETURN OLD;",
        ),
        _no_truncate("belongs to a frozen parent"),
    )


class _OldAndChanged(pgtrigger.Condition):
    """A condition on OLD, together with: some column that is not excepted is different in NEW."""

    def __init__(self, sql: str, excepted: tuple[str, ...]) -> None:
        super().__init__(sql)
        self.excepted = excepted

    def resolve(self, model: models.Model) -> str:
        """Render the condition for the model's columns."""
        names = {field.name for field in model._meta.fields}
        assert names.issuperset(self.excepted), f"{model} has no field {set(self.excepted) - names}"
        guarded = [f'"{field.column}"' for field in model._meta.fields if field.name not in self.excepted]
        old = ", ".join(f"OLD.{column}" for column in guarded)
        new = ", ".join(f"NEW.{column}" for column in guarded)
        return f"(({self.sql}) AND ROW({old}) IS DISTINCT FROM ROW({new}))"


def _no_truncate(reason: str) -> StrictTrigger:
    """Build the trigger that refuses TRUNCATE."""
    return StrictTrigger(
        name="no_truncate",
        level=pgtrigger.Statement,
        when=pgtrigger.Before,
        operation=pgtrigger.Truncate,
        func=refuse(reason),
    )


def refuse(reason: str) -> str:
    """Build the statement that refuses, with the table and the operation in its message."""
    return (
        f"RAISE EXCEPTION USING ERRCODE = 'restrict_violation', "
        f"MESSAGE = format('%s {reason}: %s is refused', TG_TABLE_NAME, TG_OP);"
    )
