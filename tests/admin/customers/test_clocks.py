"""Test clocks on the staff pages: made, and set on their way."""

from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from billing_project.core.models import AuditEntry
from customers.models import TestClock
from tests.admin.core.conftest import MakeStaff
from tests.factories.core import NOON
from tests.factories.customers import make_test_clock

CONFIRM = {"_form_submitted": "true"}
CLOCKS = "/admin/customers/testclock/"
NEW = {"name": "Spring", "now_at_0": "2026-02-28", "now_at_1": "12:00:00"}


class TestAdd:
    def test_makes_a_clock(self, staff: Client) -> None:
        assert staff.post(f"{CLOCKS}add/", NEW).status_code == 302

        clock = TestClock.objects.get()
        assert (clock.name, clock.now_at, clock.status) == ("Spring", NOON, "Ready")

    def test_shows_a_refusal(self, staff: Client) -> None:
        answer = staff.post(f"{CLOCKS}add/", {**NEW, "now_at_0": "1999-12-31"})

        assert "A test clock lies between" in answer.content.decode()
        assert not TestClock.objects.exists()

    def test_is_not_for_a_live_install(self, staff: Client, settings: Settings) -> None:
        settings.BILLING_MODE = "Live"

        assert staff.post(f"{CLOCKS}add/", NEW).status_code == 403
        assert not TestClock.objects.exists()


@pytest.mark.django_db
class TestAdvance:
    def test_sets_the_clock_on_its_way(self, staff: Client) -> None:
        clock = make_test_clock()
        address = f"{CLOCKS}{clock.pk}/"
        assert 'value="2026-02-28T12:00"' in staff.get(f"{address}advance/").content.decode()

        answer = staff.post(f"{address}advance/", {**CONFIRM, "to": "2026-03-28T00:00"}, follow=True)

        clock.refresh_from_db()
        assert (clock.status, clock.now_at) == ("Advancing", NOON)
        assert clock.target_at == NOON + timedelta(days=27, hours=12)
        assert AuditEntry.objects.get(action="test_clock.advance_begun").actor_label == "ada"
        assert "The clock is on its way" in answer.content.decode()
        assert f"{address}advance/" not in answer.content.decode()

    def test_tells_why_not(self, staff: Client) -> None:
        clock = make_test_clock()

        answer = staff.post(
            f"{CLOCKS}{clock.pk}/advance/", {**CONFIRM, "to": "2026-02-28T12:00"}, follow=True
        )

        assert "The clock stands at 2026-02-28T12:00:00Z." in answer.content.decode()
        clock.refresh_from_db()
        assert clock.status == "Ready"

    def test_is_for_those_who_may(self, make_staff: MakeStaff) -> None:
        clock = make_test_clock()
        client = make_staff("view_testclock", "add_testclock")

        answer = client.post(f"{CLOCKS}{clock.pk}/advance/", {**CONFIRM, "to": "2026-03-28T00:00"})

        assert answer.status_code == 403
        clock.refresh_from_db()
        assert clock.status == "Ready"
