"""Liveness and readiness."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from rest_framework.test import APIClient

from billing_project.core.api import health

pytestmark = pytest.mark.django_db


@contextmanager
def broker_at(url: str) -> Iterator[None]:
    """Use another broker for a while."""
    conf: Any = current_app.conf
    before = conf.broker_url, conf.broker_write_url
    conf.broker_url = conf.broker_write_url = url
    try:
        yield
    finally:
        conf.broker_url, conf.broker_write_url = before


class TestHealth:
    def test_needs_nothing(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            answer = APIClient().get("/health")

        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert "no-store" in answer["Cache-Control"]


class TestReady:
    def test_tells_that_everything_is_there(self) -> None:
        with broker_at("memory://"):
            answer = APIClient().get("/ready")

        assert answer.status_code == 200
        assert answer.json() == {
            "status": "ok",
            "checks": {"database": "ok", "migrations": "ok", "broker": "ok"},
        }

    def test_tells_that_the_broker_is_away_without_details(self, tmp_path: Any) -> None:
        with broker_at(f"redis+socket://{tmp_path}/no.sock"):
            answer = APIClient().get("/ready")

        assert answer.status_code == 503
        assert answer.json() == {
            "status": "unavailable",
            "checks": {"database": "ok", "migrations": "ok", "broker": "unavailable"},
        }

    def test_tells_that_a_migration_is_missing_until_it_is_applied(self) -> None:
        health._check_migrations.cache_clear()
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE applied AS SELECT * FROM django_migrations WHERE app = 'core'")
            cursor.execute("DELETE FROM django_migrations WHERE app = 'core'")
        with broker_at("memory://"):
            assert APIClient().get("/ready").json()["checks"]["migrations"] == "unavailable"
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO django_migrations OVERRIDING SYSTEM VALUE SELECT * FROM applied")
            assert APIClient().get("/ready").json()["checks"]["migrations"] == "ok"
