import io

import pytest
from django.core.management import CommandError, call_command

from billing_project.core.access.lookup import authenticate
from billing_project.core.clock import now
from customers.models import TestClock
from tests.factories.subscriptions import utc

pytestmark = pytest.mark.django_db


def create_api_key(*arguments: str) -> str:
    out = io.StringIO()
    call_command("create_api_key", *arguments, stdout=out)
    return out.getvalue()


class TestCreateApiKey:
    @pytest.mark.parametrize(
        ("arguments", "role"),
        [((), "Admin"), (("--role", "finance"), "Finance"), (("--role", "readonly"), "ReadOnly")],
    )
    def test_prints_the_key_alone(self, arguments: tuple[str, ...], role: str) -> None:
        printed = create_api_key("ci", *arguments)

        key = authenticate(token=printed.strip(), at=now())
        assert printed == f"{printed.strip()}\n"
        assert (key.name, key.role, key.test_clock_id) == ("ci", role, None)

    def test_binds_it_to_a_new_test_clock(self) -> None:
        printed = create_api_key("ci", "--test-clock", "2026-02-28T14:00:00Z")

        clock = TestClock.objects.get()
        assert clock.now_at == utc(2026, 2, 28, 14)
        assert authenticate(token=printed.strip(), at=now()).test_clock_id == clock.pk

    @pytest.mark.parametrize("instant", ["soon", "2026-02-28T14:00:00", "1026-02-28T14:00:00Z"])
    def test_refuses_what_is_no_instant(self, instant: str) -> None:
        with pytest.raises(CommandError):
            create_api_key("ci", "--test-clock", instant)

        assert not TestClock.objects.exists()
