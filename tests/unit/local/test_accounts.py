import os
import pwd
import tempfile
from pathlib import Path

import pytest

from billing_project.local.accounts import command_as, find_service_account

COMMAND = ["postgres", "-D", "data"]


def make_account(uid: int, gid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd(("somebody", "x", uid, gid, "", "/", "/bin/false"))


STRANGER = make_account(54_321, 54_321)


class TestFindServiceAccount:
    @pytest.mark.skipif(os.geteuid() != 0, reason="Only root has to run PostgreSQL as somebody else.")
    def test_is_another_than_root(self) -> None:
        account = find_service_account()

        assert account is not None
        assert account.pw_uid != 0
        assert find_service_account() == account

    @pytest.mark.skipif(os.geteuid() == 0, reason="Root has to run PostgreSQL as somebody else.")
    def test_is_nobody_else_where_we_are_an_ordinary_user(self) -> None:
        assert find_service_account() is None


class TestCommandAs:
    def test_is_the_command_itself_for_ourselves(self, tmp_path: Path) -> None:
        assert command_as(None, COMMAND, passing=[tmp_path]) == COMMAND

    def test_changes_nothing_but_the_account_where_it_may_pass(self) -> None:
        command = command_as(STRANGER, COMMAND, passing=[Path("/usr/bin/env")])

        assert command[1:] == ["--reuid=54321", "--regid=54321", "--clear-groups", *COMMAND]
        assert command[0].endswith("/setpriv")

    @pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give a capability away.")
    def test_adds_one_capability_where_it_may_not_pass(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)

        command = command_as(STRANGER, COMMAND, passing=[tmp_path / "data"])

        given = [word for word in command if "caps" in word or "bounding" in word]
        assert len(given) == 3
        assert len({word.partition("+")[2] for word in given}) == 1
        assert command[-3:] == COMMAND

    @pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give folders away.")
    @pytest.mark.parametrize(
        ("mode", "account", "may_pass"),
        [
            (0o700, make_account(54_321, 1), True),  # Its own.
            (0o077, make_account(54_321, 54_322), False),  # Its own, and closed to itself.
            (0o710, make_account(1, 54_322), True),  # Its group's.
            (0o701, make_account(1, 54_322), False),  # Its group's, and closed to the group.
            (0o701, make_account(1, 1), True),  # Anybody's.
            (0o770, make_account(1, 1), False),
        ],
    )
    def test_asks_each_folder_as_the_kernel_does(
        self, mode: int, account: pwd.struct_passwd, may_pass: bool
    ) -> None:
        with tempfile.TemporaryDirectory() as name:  # Not pytest's, whose parents are closed themselves.
            os.chown(name, 54_321, 54_322)
            Path(name).chmod(mode)

            command = command_as(account, COMMAND, passing=[Path(name) / "data"])

        assert any("ambient" in word for word in command) is not may_pass
