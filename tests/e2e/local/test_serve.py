import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.installs import Install, RunningCommand, find_survivors

pytestmark = pytest.mark.slow

ADD_USER = "from django.contrib.auth.models import User; User.objects.create(username='kept')"
COUNT_USERS = "from django.contrib.auth.models import User; print('users:', User.objects.count())"
SHOW_POSTMASTER = (
    "from django.db import connection; c = connection.cursor(); "
    "c.execute('SELECT pg_postmaster_start_time()'); print('since:', c.fetchone()[0].isoformat())"
)


def wait_until(path: Path) -> str:
    """Return the code of a command that goes on until there is such a file."""
    return (
        "import pathlib, time; print('waiting', flush=True)\n"
        f"while not pathlib.Path({str(path)!r}).exists(): time.sleep(0.05)"
    )


def read_shell(install: Install, code: str) -> str:
    result = install.run("shell", "-v", "0", "-c", code)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    install = Install(tmp_path / "data")
    yield install
    install.close()


@pytest.fixture(scope="class")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Install, RunningCommand]]:
    install = Install(tmp_path_factory.mktemp("install") / "data")
    yield install, install.serve()
    install.close()


@pytest.mark.xdist_group("served")
class TestServe:
    def test_answers_with_every_part_behind_it(self, served: tuple[Install, RunningCommand]) -> None:
        _, running = served

        answer = httpx.get(f"{running.base_url}/ready")

        assert answer.status_code == 200
        assert answer.json()["checks"] == {"database": "ok", "migrations": "ok", "broker": "ok"}

    def test_sends_static_files(self, served: tuple[Install, RunningCommand]) -> None:
        _, running = served

        answer = httpx.get(f"{running.base_url}/static/admin/css/base.css")

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/css"

    def test_listens_on_its_one_port_only(self, served: tuple[Install, RunningCommand]) -> None:
        _, running = served

        ports = {
            connection.laddr.port
            for process in running.list_family()
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }

        assert ports == {httpx.URL(running.base_url).port}

    def test_keeps_its_files_from_others(self, served: tuple[Install, RunningCommand]) -> None:
        install, _ = served

        modes = {
            name: stat.S_IMODE((install.folder / name).stat().st_mode)
            for name in ("postgres", "valkey", "secret_key", "owner")
        }

        assert modes == {"postgres": 0o700, "valkey": 0o700, "secret_key": 0o600, "owner": 0o600}

    def test_lets_other_commands_use_its_database(self, served: tuple[Install, RunningCommand]) -> None:
        install, running = served

        first = read_shell(install, SHOW_POSTMASTER)
        second = read_shell(install, SHOW_POSTMASTER)

        assert first.startswith("since:")
        assert second == first
        assert running.process.poll() is None

    def test_refuses_to_run_twice_and_says_where_the_first_is(
        self, served: tuple[Install, RunningCommand]
    ) -> None:
        install, running = served

        result = install.run("serve", "--port", "0")

        assert result.returncode == 3
        assert running.base_url in result.stderr
        assert str(running.process.pid) in result.stderr
        assert httpx.get(f"{running.base_url}/health").status_code == 200

    @pytest.mark.parametrize("word", ["worker", "beat", "granian"])
    def test_starts_a_program_again_that_died(
        self, served: tuple[Install, RunningCommand], word: str
    ) -> None:
        _, running = served
        before = running.wait_for_child(word)
        family = [before, *before.children(recursive=True)]

        before.kill()
        running.wait_for_child(word, other_than=before)

        assert find_survivors(family, within_seconds=10) == []
        assert "was ended by SIGKILL; it is started again in" in running.log

    def test_keeps_answering_after_that(self, served: tuple[Install, RunningCommand]) -> None:
        _, running = served
        deadline = time.monotonic() + 60

        while True:
            try:
                assert httpx.get(f"{running.base_url}/ready").status_code == 200
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, running.log
                time.sleep(0.1)


class TestStop:
    def test_by_ctrl_c_leaves_no_process(self, install: Install) -> None:
        running = install.serve()
        family = running.list_family()

        exit_code = running.stop(signal.SIGINT)

        assert exit_code == 0, running.log
        assert find_survivors(family, within_seconds=0) == []
        assert not (install.folder / "postgres" / "postmaster.pid").exists()


class TestCrash:
    def test_of_the_supervisor_leaves_no_process_and_all_data(self, install: Install) -> None:
        running = install.serve()
        read_shell(install, ADD_USER)
        family = running.list_family()

        running.stop(signal.SIGKILL)
        again = install.serve()  # At once: what is left of the first is still on its way out.

        assert find_survivors(family, within_seconds=15) == []
        assert read_shell(install, COUNT_USERS) == "users: 1"

        family = again.list_family()
        assert again.stop(signal.SIGTERM) == 0, again.log
        assert find_survivors(family, within_seconds=0) == []
        assert read_shell(install, COUNT_USERS) == "users: 1"

    def test_of_a_service_stops_everything_and_says_which(self, install: Install) -> None:
        running = install.serve()
        family = running.list_family()

        running.wait_for_child("postgres").kill()
        exit_code = running.process.wait(timeout=60)

        assert exit_code == 1
        assert "Stopped, because postgres was ended by SIGKILL." in running.log
        assert find_survivors(family, within_seconds=5) == []


class TestCommands:
    def test_start_the_database_for_themselves(self, install: Install) -> None:
        result = install.run("migrate", "-v", "0")

        assert result.returncode == 0, result.stderr
        assert read_shell(install, COUNT_USERS) == "users: 0"
        assert not (install.folder / "postgres" / "postmaster.pid").exists()

    def test_wait_for_each_other_at_the_end(self, install: Install, tmp_path: Path) -> None:
        owner = install.start("shell", "-v", "0", "-c", wait_until(tmp_path / "used"))
        owner.wait_for("waiting")
        code = f"{wait_until(tmp_path / 'done')}\n{SHOW_POSTMASTER}"
        user = install.start("shell", "-v", "0", "-c", code)
        user.wait_for("waiting")

        (tmp_path / "used").touch()
        owner.wait_for("Waiting for another command to end")
        (tmp_path / "done").touch()

        assert user.process.wait(timeout=60) == 0, user.log
        assert "since: " in user.log
        assert owner.process.wait(timeout=60) == 0, owner.log
        assert not (install.folder / "postgres" / "postmaster.pid").exists()

    def test_leave_nothing_behind_when_killed(self, install: Install) -> None:
        command = "import time; print('up', flush=True); time.sleep(600)"
        running = install.start("shell", "-v", "0", "-c", command)
        running.wait_for("up")
        family = running.list_family()
        assert len(family) > 3

        running.stop(signal.SIGKILL)

        assert find_survivors(family, within_seconds=15) == []
