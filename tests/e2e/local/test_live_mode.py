import secrets
from pathlib import Path

import pytest

from tests.installs import Install

pytestmark = pytest.mark.slow

LIVE = {"BILLING_MODE": "Live", "BILLING_ALLOWED_HOSTS": "billing.example"}


class TestLiveMode:
    def test_passes_djangos_checks_for_deployment(self, tmp_path: Path) -> None:
        install = Install(tmp_path / "data", BILLING_SECRET_KEY=secrets.token_urlsafe(48), **LIVE)

        result = install.run("check", "--deploy", "--fail-level", "WARNING")

        assert result.returncode == 0, result.stderr
        assert result.stdout.strip() == "System check identified no issues (1 silenced)."

    @pytest.mark.parametrize("command", ["check", "serve", "migrate"])
    def test_does_not_start_without_a_secret_key(self, tmp_path: Path, command: str) -> None:
        install = Install(tmp_path / "data", **LIVE)

        result = install.run(command)

        assert result.returncode == 1
        assert "BILLING_SECRET_KEY is not set" in result.stderr
        assert not install.folder.exists()
