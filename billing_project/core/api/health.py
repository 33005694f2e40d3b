"""Whether the process lives, and whether it can work."""

from collections.abc import Callable
from functools import cache

import structlog
from celery import current_app
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError as BrokerUnavailable

BROKER_TIMEOUT_SECONDS = 2

logger = structlog.get_logger(__name__)


class NotReady(RuntimeError):
    """Something that the platform needs is missing."""


@never_cache
@require_safe
def health(_request: HttpRequest) -> JsonResponse:
    """Answer that the process lives."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(_request: HttpRequest) -> JsonResponse:
    """Answer whether the database, its migrations and the broker are there: 200, or 503 with what is not."""
    checks: dict[str, Callable[[], None]] = {
        "database": _check_database,
        "migrations": _check_migrations,
        "broker": _check_broker,
    }
    results = {name: _run(name, check) for name, check in checks.items()}
    is_ready = all(result == "ok" for result in results.values())
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", "checks": results}, status=200 if is_ready else 503
    )


def _run(name: str, check: Callable[[], None]) -> str:
    """Run a check; its failure is logged, and told without details."""
    try:
        check()
    except (DatabaseError, BrokerUnavailable, OSError, NotReady) as error:
        logger.warning("not_ready", check=name, error=str(error))
        return "unavailable"
    return "ok"


def _check_database() -> None:
    """Ask the database for an answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@cache
def _check_migrations() -> None:
    """See that the database has every migration of this code; once it has, it is not asked again.

    Raises: NotReady, which is not remembered.
    """
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotReady("Migrations have not been applied.")


def _check_broker() -> None:
    """Connect to the broker."""
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT_SECONDS)
