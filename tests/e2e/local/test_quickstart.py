from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.installs import Install

pytestmark = pytest.mark.slow


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    install = Install(tmp_path / "data")
    yield install
    install.close()


class TestQuickstart:
    def test_ends_with_an_invoice_and_makes_another_the_next_time(self, install: Install) -> None:
        first = install.run("quickstart", "--port", "0", "--exit")

        assert first.returncode == 0, first.stdout + first.stderr
        for words in ("INV-000001", "$9.955", "$7.485", "$17.44", "user admin, password ", "bsk_test_"):
            assert words in first.stdout
        assert not (install.folder / "postgres" / "postmaster.pid").exists()

        second = install.start("quickstart", "--port", "0")
        second.wait_for("Serving until Ctrl-C.")

        assert "INV-000002" in second.log
        assert "password as you have set it" in second.log
        base_url = second.log.partition("Staff pages")[2].split()[0].removesuffix("/admin/")
        assert httpx.get(f"{base_url}/ready").status_code == 200
        assert httpx.get(f"{base_url}/admin/", follow_redirects=True).status_code == 200
        assert second.stop() == 0, second.log

    def test_fails_with_the_reason_where_the_walkthrough_does(self, tmp_path: Path) -> None:
        install = Install(tmp_path / "data", BILLING_ALLOWED_HOSTS="elsewhere.example")

        result = install.run("quickstart", "--port", "0", "--exit")

        assert result.returncode == 1
        assert "POST /admin/v1/catalog/products answered 400, not 201" in result.stderr
        assert not (install.folder / "postgres" / "postmaster.pid").exists()
