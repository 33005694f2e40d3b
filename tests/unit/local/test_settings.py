import os
import runpy
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from billing_project import settings as module

FILE = str(Path(module.__file__))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that reads the settings in an environment of only these variables."""

    def read_settings(**variables: str) -> dict[str, Any]:
        for name in list(os.environ):
            if name.startswith("BILLING_"):
                monkeypatch.delenv(name)
        monkeypatch.setenv("BILLING_DATA_DIR", str(tmp_path / "data"))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(FILE)

    return read_settings


LIVE = {"BILLING_MODE": "Live", "BILLING_SECRET_KEY": "k" * 60, "BILLING_ALLOWED_HOSTS": "billing.example"}


class TestDefaults:
    def test_are_safe(self, read: Any) -> None:
        settings = read()

        assert settings["DEBUG"] is False
        assert settings["BILLING_MODE"] == "Test"
        assert settings["ALLOWED_HOSTS"] == ["127.0.0.1", "localhost", "[::1]"]

    def test_make_a_secret_key_and_keep_it(self, read: Any, tmp_path: Path) -> None:
        key = read()["SECRET_KEY"]

        assert len(key) == 64
        assert read()["SECRET_KEY"] == key
        assert (tmp_path / "data" / "secret_key").read_text() == key

    def test_use_the_services_that_come_with_the_packages(self, read: Any, tmp_path: Path) -> None:
        settings = read()
        sockets = settings["DATA_FOLDER"].sockets

        assert settings["DATABASES"]["default"]["HOST"] == str(sockets)
        assert settings["CELERY_BROKER_URL"] == f"redis+socket://{sockets}/valkey.sock"
        assert (settings["IS_POSTGRES_EMBEDDED"], settings["IS_VALKEY_EMBEDDED"]) == (True, True)


class TestDatabase:
    def test_is_the_operators(self, read: Any) -> None:
        settings = read(BILLING_DATABASE_URL="postgresql://me:p%40ss@db.example:5433/billing?sslmode=require")

        database = settings["DATABASES"]["default"]
        assert settings["IS_POSTGRES_EMBEDDED"] is False
        assert {name: database[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")} == {
            "NAME": "billing",
            "USER": "me",
            "PASSWORD": "p@ss",
            "HOST": "db.example",
            "PORT": 5433,
        }
        assert database["OPTIONS"]["sslmode"] == "require"

    @pytest.mark.parametrize("url", ["", "postgresql://db.example/billing"])
    def test_never_waits_long_for_a_lock(self, read: Any, url: str) -> None:
        database = read(BILLING_DATABASE_URL=url)["DATABASES"]["default"]

        assert "-c lock_timeout=3s" in database["OPTIONS"]["options"]

    def test_keeps_the_operators_own_options(self, read: Any) -> None:
        url = "postgresql://db.example/billing?options=-c%20search_path%3Dx&conn_max_age=5"

        database = read(BILLING_DATABASE_URL=url)["DATABASES"]["default"]

        assert database["OPTIONS"]["options"].endswith("-c search_path=x")
        assert database["CONN_MAX_AGE"] == 5

    def test_is_a_postgresql(self, read: Any) -> None:
        with pytest.raises(ImproperlyConfigured, match="postgresql://"):
            read(BILLING_DATABASE_URL="mysql://db.example/billing")


class TestBroker:
    @pytest.mark.parametrize(
        ("given", "url", "option"),
        [
            ("valkey://cache.example:6379/1", "redis://cache.example:6379/1", "visibility_timeout"),
            ("valkeys://cache.example", "rediss://cache.example", "visibility_timeout"),
            ("redis://cache.example", "redis://cache.example", "visibility_timeout"),
            ("amqp://guest@rabbit.example//", "amqp://guest@rabbit.example//", "confirm_publish"),
        ],
    )
    def test_is_the_operators(self, read: Any, given: str, url: str, option: str) -> None:
        settings = read(BILLING_BROKER_URL=given)

        assert settings["IS_VALKEY_EMBEDDED"] is False
        assert settings["CELERY_BROKER_URL"] == url
        assert option in settings["CELERY_BROKER_TRANSPORT_OPTIONS"]


class TestLiveMode:
    def test_needs_a_secret_key(self, read: Any, tmp_path: Path) -> None:
        with pytest.raises(ImproperlyConfigured, match="BILLING_SECRET_KEY is not set"):
            read(**(LIVE | {"BILLING_SECRET_KEY": ""}))

        assert not (tmp_path / "data").exists()

    def test_refuses_debug(self, read: Any) -> None:
        with pytest.raises(ImproperlyConfigured, match="not in Live mode"):
            read(**LIVE, BILLING_DEBUG="on")

    def test_insists_on_tls(self, read: Any) -> None:
        settings = read(**LIVE)

        assert settings["SECURE_SSL_REDIRECT"] is True
        assert settings["SESSION_COOKIE_SECURE"] is True
        assert settings["CSRF_COOKIE_SECURE"] is True
        assert settings["SECURE_HSTS_SECONDS"] == 31_536_000

    def test_answers_to_no_name_but_those_given(self, read: Any) -> None:
        assert read(**LIVE)["ALLOWED_HOSTS"] == ["billing.example"]
        assert read(**(LIVE | {"BILLING_ALLOWED_HOSTS": ""}))["ALLOWED_HOSTS"] == []

    @pytest.mark.parametrize("mode", ["live", "Production", ""])
    def test_is_called_live(self, read: Any, mode: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="must be Test or Live"):
            read(BILLING_MODE=mode)
