import os
import subprocess
import sys
from pathlib import Path

from billing_project.local.ownership import Owner, Ownership, Usage, find_owner


class TestOwnership:
    def test_is_had_by_one_at_a_time(self, tmp_path: Path) -> None:
        first = Ownership.take(tmp_path / "owner", command="serve")
        assert first is not None

        assert Ownership.take(tmp_path / "owner", command="shell") is None

        first.release()
        second = Ownership.take(tmp_path / "owner", command="shell")
        assert second is not None
        second.release()

    def test_ends_with_the_process(self, tmp_path: Path) -> None:
        path = tmp_path / "owner"
        code = (
            "import os, pathlib, sys; from billing_project.local.ownership import Ownership; "
            "kept = Ownership.take(pathlib.Path(sys.argv[1]), command='serve'); os.kill(os.getpid(), 9)"
        )
        killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
        assert killed.returncode == -9

        ownership = Ownership.take(path, command="shell")

        assert ownership is not None
        ownership.release()


class TestFindOwner:
    def test_tells_who_it_is_and_where(self, tmp_path: Path) -> None:
        ownership = Ownership.take(tmp_path / "owner", command="serve")
        assert ownership is not None
        assert find_owner(tmp_path / "owner") == Owner(os.getpid(), "serve")

        ownership.announce()
        assert find_owner(tmp_path / "owner") == Owner(os.getpid(), "serve", is_ready=True)

        ownership.announce(address="http://127.0.0.1:8000")
        assert find_owner(tmp_path / "owner") == Owner(
            os.getpid(), "serve", is_ready=True, address="http://127.0.0.1:8000"
        )

        ownership.release()
        assert find_owner(tmp_path / "owner") is None

    def test_finds_nobody_where_nothing_is(self, tmp_path: Path) -> None:
        assert find_owner(tmp_path / "owner") is None

    def test_does_not_believe_the_words_of_one_that_was_killed(self, tmp_path: Path) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        path = tmp_path / "owner"
        path.write_text(f'{{"process_id": {ended.pid}, "command": "serve", "is_ready": true, "address": ""}}')

        assert find_owner(path) is None

    def test_waits_for_the_end_of_the_sentence(self, tmp_path: Path) -> None:
        path = tmp_path / "owner"
        path.write_text('{"process_id": 1, "comm')

        assert find_owner(path) is None


class TestUsage:
    def test_is_shared(self, tmp_path: Path) -> None:
        one, other = Usage(tmp_path / "users"), Usage(tmp_path / "users")

        assert one.begin()
        assert other.begin()

        one.end()
        other.end()

    def test_keeps_the_owner_from_stopping(self, tmp_path: Path) -> None:
        user, owner = Usage(tmp_path / "users"), Usage(tmp_path / "users")
        assert user.begin()

        assert not owner.close_down(patience_seconds=0.1)

        user.end()
        assert owner.close_down(patience_seconds=0.1)
        owner.end()

    def test_does_not_begin_once_the_owner_stops(self, tmp_path: Path) -> None:
        user, owner = Usage(tmp_path / "users"), Usage(tmp_path / "users")
        assert owner.close_down(patience_seconds=0)

        assert not user.begin()

        owner.end()
        assert user.begin()
        user.end()
