"""A story begins on a test clock, and ends with a look at everything that must always be true."""

from collections.abc import Iterator

import pytest

from tests.factories.subscriptions import find_breaches, utc
from tests.scenarios.metering.steps import Story


@pytest.fixture
def story(db: None) -> Iterator[Story]:
    """A story that begins in the middle of January: monthly periods end on the 15th, at midnight."""
    yield Story.begin(utc(2026, 1, 15, 10))
    assert find_breaches() == []
