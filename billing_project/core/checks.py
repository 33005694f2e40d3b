"""System checks of core, which Django runs before it migrates and with `check --database default`."""

from collections.abc import Sequence

from django.apps import AppConfig
from django.core import checks
from django.db import connection

from billing_project.core.models import Seller
from billing_project.core.seller import ModeChanged, check_mode, is_mode_kept


def check_mode_is_kept(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 (Django passes it by name)
    databases: Sequence[str] | None,
    **_: object,
) -> list[checks.CheckMessage]:
    """Compare BILLING_MODE with the mode in which the install has taken its numbers."""
    if not databases or Seller._meta.db_table not in connection.introspection.table_names():
        return []  # Before the first migration there is nothing to compare with.
    try:
        check_mode()
    except ModeChanged as error:
        return [
            checks.Error(error.detail, hint="Set BILLING_MODE back, or start a new install.", id="core.E001")
        ]
    if not is_mode_kept():
        hint = "Run `manage.py set_up_seller`, which takes the new mode over while no number is taken."
        return [checks.Warning("The seller is in another mode than BILLING_MODE.", hint=hint, id="core.W001")]
    return []
