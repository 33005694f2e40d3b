"""What every test stands on: a PostgreSQL for the session, and in it a database for each worker."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase
from psycopg.conninfo import conninfo_to_dict
from pytest_django import DjangoDbBlocker

from tests.postgres import Databases, SessionServer

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

pytest_plugins = ["tests.running"]

SERVER_KEY = pytest.StashKey[SessionServer]()


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the session's server; a worker of pytest-xdist uses that of its controller."""
    if not hasattr(config, "workerinput"):
        config.stash[SERVER_KEY] = SessionServer()
    # A password that takes long to try also takes long to set, and many tests make a user.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: "WorkerController") -> None:
    """Tell a worker of pytest-xdist, before it starts, where the session's server is."""
    server = node.config.stash[SERVER_KEY]
    node.workerinput["database_address"] = server.read_address()
    node.workerinput["database_session"] = server.session


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove all that the session has made."""
    if SERVER_KEY in config.stash:
        config.stash[SERVER_KEY].leave()


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Databases:
    """Return the databases of this worker."""
    config = request.config
    if hasattr(config, "workerinput"):
        given = config.workerinput
        return Databases(given["database_address"], given["database_session"], given["workerid"])
    server = config.stash[SERVER_KEY]
    return Databases(server.read_address(), server.session, "main")


@pytest.fixture(scope="session")
def django_db_setup(
    databases: Databases,
    django_test_environment: None,
    django_db_blocker: DjangoDbBlocker,
    django_db_use_migrations: bool,
) -> Iterator[None]:
    """Give the worker its database: a copy of the session's migrated template."""
    if not django_db_use_migrations:
        settings.MIGRATION_MODULES = {app.label: None for app in apps.get_app_configs()}
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patches:
        with databases.making_template() as empty_name:
            if empty_name is not None:
                _connect_django(databases.address, empty_name)
                call_command("migrate", verbosity=0, interactive=False, run_syncdb=True)
                connection.close()
        databases.copy_template()
        _connect_django(databases.address, databases.name)

        def start_afresh(_: TransactionTestCase) -> None:
            # Instead of emptying each table, which append-only ones refuse and which loses what migrations
            # wrote.
            connection.close()
            databases.copy_template()

        patches.setattr(TransactionTestCase, "_fixture_teardown", start_afresh)
        yield
        connection.close()


def _connect_django(address: str, name: str) -> None:
    parts = conninfo_to_dict(address)
    connection.close()
    connection.settings_dict.update(
        NAME=name,
        USER=parts.get("user", ""),
        PASSWORD=parts.get("password", ""),
        HOST=parts.get("host", ""),
        PORT=parts.get("port", ""),
    )
    # A pool would hold connections to a database that is about to be replaced.
    connection.settings_dict["OPTIONS"].pop("pool", None)
