from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from billing_project.local.commands import read_embedded_services, read_install, read_options, services_for
from billing_project.local.folder import DataFolder


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> DataFolder:
    settings.DATA_FOLDER = DataFolder(tmp_path / "data")
    settings.IS_POSTGRES_EMBEDDED = True
    settings.IS_VALKEY_EMBEDDED = False
    return settings.DATA_FOLDER


class TestServicesFor:
    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["help"],
            ["migrate", "--help"],
            ["--version"],
            ["check"],
            ["collectstatic", "--noinput"],
            ["serve"],
            ["quickstart", "--exit"],
        ],
    )
    def test_starts_nothing_for_a_command_that_needs_no_database(
        self, folder: DataFolder, arguments: list[str]
    ) -> None:
        with services_for(arguments):
            pass

        assert not folder.path.exists()

    def test_starts_nothing_where_the_operator_brings_all(
        self, folder: DataFolder, settings: Settings
    ) -> None:
        settings.IS_POSTGRES_EMBEDDED = False

        with services_for(["migrate"]):
            pass

        assert not folder.path.exists()

    def test_runs_them_for_every_other_command(self, folder: DataFolder) -> None:
        with services_for(["run_billing"]):
            assert (folder.sockets / ".s.PGSQL.5432").is_socket()

        assert not (folder.sockets / ".s.PGSQL.5432").exists()
        assert (folder.postgres / "PG_VERSION").read_text() == "18\n"

    def test_stops_them_when_the_command_fails(self, folder: DataFolder) -> None:
        with pytest.raises(SystemExit), services_for(["run_billing"]):
            raise SystemExit(1)

        assert not (folder.postgres / "postmaster.pid").exists()


class TestReading:
    def test_finds_which_services_are_embedded(self, folder: DataFolder) -> None:
        services = read_embedded_services()

        assert (services.folder, services.has_postgres, services.has_valkey) == (folder, True, False)
        assert not services.is_empty

    def test_finds_what_is_served(self, folder: DataFolder, settings: Settings) -> None:
        install = read_install()

        assert (install.project_folder / "manage.py").is_file()
        assert install.static_folder == settings.STATIC_ROOT
        assert install.static_url == "/static/"

    def test_finds_how_many_share_the_work(self, settings: Settings) -> None:
        settings.BILLING_WEB_WORKERS, settings.BILLING_WEB_THREADS, settings.BILLING_RUN_WORKERS = 3, 5, 7

        options = read_options(host="127.0.0.1", port=80)

        assert (options.web_workers, options.web_threads, options.task_workers) == (3, 5, 7)
