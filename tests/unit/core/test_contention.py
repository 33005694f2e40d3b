"""Trying again what something else was in the way of."""

import pytest
from django.db import OperationalError
from psycopg import errors

from billing_project.core import contention
from billing_project.core.contention import ATTEMPTS, try_again
from billing_project.core.errors import Busy


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contention, "PAUSE_SECONDS", 0)


def make_contention() -> OperationalError:
    error = OperationalError("deadlock detected")
    error.__cause__ = errors.DeadlockDetected()
    return error


class Failing:
    """Fails with an error so many times, and then succeeds."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error = error
        self.left = times
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


class TestTryAgain:
    @pytest.mark.parametrize("error", [Busy("Later."), make_contention()], ids=["busy", "deadlock"])
    def test_goes_on_until_nothing_is_in_the_way(self, error: Exception) -> None:
        function = Failing(error, 3)

        assert try_again(function) == "done"
        assert function.calls == 4

    def test_gives_up_after_some_attempts(self) -> None:
        function = Failing(Busy("Later."), ATTEMPTS)

        with pytest.raises(Busy):
            try_again(function)

        assert function.calls == ATTEMPTS

    @pytest.mark.parametrize("error", [OperationalError("wrong"), ValueError("wrong")])
    def test_lets_any_other_error_pass(self, error: Exception) -> None:
        function = Failing(error, 1)

        with pytest.raises(type(error)):
            try_again(function)

        assert function.calls == 1
