"""What people see, in a real browser against a live install."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installs import PROJECT, Install

pytestmark = pytest.mark.e2e

BROWSER = shutil.which("chromium")
SCREENSHOTS = PROJECT / "screenshots"
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1440,1000",
    "--virtual-time-budget=15000",
)


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    install = Install(tmp_path_factory.mktemp("install") / "data")
    running = install.start("quickstart", "--port", "0")
    running.wait_for("Serving until Ctrl-C.")
    yield running.log.partition("Staff pages")[2].split()[0].removesuffix("/admin/")
    assert running.stop() == 0, running.log
    install.close()


def browse(url: str, *, profile: Path, name: str) -> str:
    """Open a page, keep a picture of it, and return what it says once its scripts have run."""
    assert BROWSER is not None, "These tests need Debian's chromium."
    SCREENSHOTS.mkdir(exist_ok=True)
    picture = SCREENSHOTS / f"{name}.png"
    options = (*QUIET, f"--user-data-dir={profile}")
    subprocess.run(
        [BROWSER, *options, f"--screenshot={picture}", url], check=True, capture_output=True, timeout=120
    )
    assert picture.stat().st_size > 5_000, "The picture is empty."
    shown = subprocess.run(
        [BROWSER, *options, "--dump-dom", url], check=True, capture_output=True, text=True, timeout=120
    )
    return shown.stdout


class TestApiDocumentation:
    def test_describes_the_endpoints_from_local_files(self, base_url: str, tmp_path: Path) -> None:
        page = browse(f"{base_url}/docs/api", profile=tmp_path, name="redoc")

        assert "Billing API" in page
        assert "Make a Draft final" in page
        assert "cdn" not in page.casefold()

    def test_can_be_tried_out(self, base_url: str, tmp_path: Path) -> None:
        page = browse(f"{base_url}/docs/swagger", profile=tmp_path, name="swagger")

        assert "/v1/events/batch" in page


class TestStaffPages:
    def test_ask_who_is_there(self, base_url: str, tmp_path: Path) -> None:
        page = browse(f"{base_url}/admin/", profile=tmp_path, name="login")

        assert 'name="password"' in page
