"""What tests of archives stand on."""

from contextlib import nullcontext

import pytest

from metering.archiving import running
from tests.factories.archives import make_role


@pytest.fixture
def archiver(db: None) -> None:
    """Have the role that may remove events."""
    make_role()


@pytest.fixture
def one_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the test's own transaction, which has begun, stand for the one in which an archive is written."""
    monkeypatch.setattr(running, "reading_snapshot", nullcontext)
