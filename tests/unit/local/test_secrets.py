import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from billing_project.local.secrets import read_or_make_secret_key


class TestReadOrMakeSecretKey:
    def test_makes_a_long_key_that_only_its_owner_can_read(self, tmp_path: Path) -> None:
        path = tmp_path / "data" / "secret_key"

        key = read_or_make_secret_key(path)

        assert len(key) == 64
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(path.parent.iterdir()) == [path]

    def test_reads_the_same_key_again(self, tmp_path: Path) -> None:
        path = tmp_path / "secret_key"

        assert read_or_make_secret_key(path) == read_or_make_secret_key(path)

    def test_makes_another_key_for_another_install(self, tmp_path: Path) -> None:
        assert read_or_make_secret_key(tmp_path / "a" / "key") != read_or_make_secret_key(
            tmp_path / "b" / "key"
        )

    def test_gives_one_key_to_all_that_start_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "secret_key"

        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(read_or_make_secret_key, [path] * 32))

        assert len(keys) == 1
