import os
import stat
from pathlib import Path

import pytest

from billing_project.local.errors import LocalSetupFailed
from billing_project.local.folder import LONGEST_SOCKET_FOLDER, DataFolder, make_folders

ME = os.geteuid()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestSockets:
    def test_lie_in_the_data_folder(self) -> None:
        assert DataFolder(Path("/srv/billing")).sockets == Path("/srv/billing/run")

    def test_lie_there_as_long_as_the_kernel_takes_the_address(self) -> None:
        longest = Path("/srv") / ("x" * (LONGEST_SOCKET_FOLDER - len("/srv//run")))

        assert DataFolder(longest).sockets == longest / "run"
        assert DataFolder(longest.with_name(longest.name + "x")).sockets.parent != longest

    @pytest.mark.parametrize(
        "path", ["/srv/" + "deep/" * 30, "/srv/a, b", "/srv/50%", "/srv/größe", "/srv/a b"]
    )
    def test_lie_elsewhere_where_the_address_would_not_work(self, path: str) -> None:
        sockets = DataFolder(Path(path)).sockets

        assert len(str(sockets)) <= LONGEST_SOCKET_FOLDER
        assert sockets.name.startswith(f"billing-{ME}-")

    def test_are_found_again_and_not_shared(self) -> None:
        one, other = Path("/srv/" + "deep/" * 30), Path("/srv/" + "deep/" * 31)

        assert DataFolder(one).sockets == DataFolder(one).sockets
        assert DataFolder(one).sockets != DataFolder(other).sockets

    def test_do_not_depend_on_the_terminal(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        folder = DataFolder(Path("/srv/" + "deep/" * 30))
        before = folder.sockets

        monkeypatch.setenv("TMPDIR", str(tmp_path))

        assert folder.sockets == before


class TestMakeFolders:
    def test_makes_them_for_their_owner_alone(self, tmp_path: Path) -> None:
        folder = DataFolder(tmp_path / "above" / "data")

        make_folders(folder, account_id=ME)

        assert [mode_of(path) for path in (folder.path, folder.valkey, folder.sockets)] == [
            0o700,
            0o700,
            0o700,
        ]

    def test_lets_the_account_of_the_database_pass_and_not_list(self, tmp_path: Path) -> None:
        folder = DataFolder(tmp_path / "data")

        make_folders(folder, account_id=ME + 1)

        assert mode_of(folder.path) == 0o701
        assert mode_of(folder.valkey) == 0o700

    def test_leaves_what_is_there(self, tmp_path: Path) -> None:
        folder = DataFolder(tmp_path)
        make_folders(folder, account_id=ME)
        (folder.valkey / "kept").touch()

        make_folders(folder, account_id=ME)

        assert (folder.valkey / "kept").exists()

    def test_refuses_sockets_in_a_folder_that_others_may_enter(self, tmp_path: Path) -> None:
        folder = DataFolder(tmp_path)
        folder.sockets.mkdir(mode=0o755)

        with pytest.raises(LocalSetupFailed, match="not ours alone"):
            make_folders(folder, account_id=ME)

    def test_refuses_sockets_behind_a_link(self, tmp_path: Path) -> None:
        folder = DataFolder(tmp_path / "data")
        folder.path.mkdir()
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.sockets.symlink_to(tmp_path / "elsewhere")

        with pytest.raises(LocalSetupFailed, match="not ours alone"):
            make_folders(folder, account_id=ME)
