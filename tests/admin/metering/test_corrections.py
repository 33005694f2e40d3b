"""Corrections on the staff pages: a look at what would change, and a reason, before an event is taken back."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from metering.models import EventVoid, UsageCorrection, UsageEvent
from subscriptions.models import Subscription
from tests.admin.core.conftest import MakeStaff
from tests.admin.rows import bill_finally, make_subscription, make_usage, void_usage
from tests.factories.customers import make_customer
from tests.factories.metering import INPUT, ingest, read_totals, write_event
from tests.factories.subscriptions import find_breaches

pytestmark = pytest.mark.django_db

EVENTS = "/admin/metering/usageevent/"
CORRECTIONS = "/admin/metering/usagecorrection/"
MAY_CORRECT = ("view_usageevent", "view_usagecorrection", "add_usagecorrection")


@pytest.fixture
def subscription() -> Subscription:
    return make_subscription()


@pytest.fixture
def event(subscription: Subscription) -> UsageEvent:
    """An event of $9.955."""
    return make_usage(subscription)


def address(event: UsageEvent, name: str) -> str:
    return reverse(f"admin:metering_usagecorrection_{name}", args=[event.customer_id, event.uid])


def read(answer: Any) -> str:
    """Read a page as its words, whatever its spaces."""
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


class TestVoid:
    def test_shows_first_what_would_change(self, staff: Client, event: UsageEvent) -> None:
        content = read(staff.get(address(event, "void")))

        assert event.event_id in content
        assert INPUT in content
        assert "4,977,500" in content
        assert "$9.955" in content
        assert "-$9.955" in content
        assert not UsageCorrection.objects.exists()
        assert find_breaches() == []

    def test_takes_the_event_back_with_a_reason(
        self, staff: Client, subscription: Subscription, event: UsageEvent
    ) -> None:
        answer = staff.post(address(event, "void"), {"reason": "A test run"})

        correction = UsageCorrection.objects.get()
        assert answer["Location"] == f"{CORRECTIONS}{correction.pk}/change/"
        assert (correction.reason, EventVoid.objects.get().event_uid) == ("A test run", event.uid)
        assert read_totals(subscription).get(INPUT, 0) == 0
        entry = AuditEntry.objects.get(action="usage.voided")
        assert (entry.actor_kind, entry.actor_label, entry.reason) == ("Staff", "ada", "A test run")
        assert find_breaches() == []

    @pytest.mark.parametrize("reason", ["", "  "])
    def test_does_nothing_without_one(
        self, staff: Client, subscription: Subscription, event: UsageEvent, reason: str
    ) -> None:
        content = read(staff.post(address(event, "void"), {"reason": reason}))

        assert "This field is required." in content
        assert INPUT in content  # The preview is still there.
        assert read_totals(subscription)[INPUT] == 4_977_500

    def test_says_that_it_is_done_already(self, staff: Client, event: UsageEvent) -> None:
        void_usage(event)

        content = read(staff.post(address(event, "void"), {"reason": "Again"}))

        assert "is void already" in content
        assert UsageCorrection.objects.count() == 1

    def test_tells_that_a_closed_bill_is_given_back(
        self, staff: Client, subscription: Subscription, event: UsageEvent
    ) -> None:
        bill_finally(subscription)

        content = read(staff.get(address(event, "void")))

        assert "$0.00" in content
        assert "-$9.955" in content

    def test_works_on_an_event_that_counts_for_nothing(self, staff: Client) -> None:
        customer = make_customer()
        ingest(write_event(customer))
        stray = UsageEvent.objects.get()

        content = read(staff.get(address(stray, "void")))

        assert "It counts for nothing that is charged." in content
        assert staff.post(address(stray, "void"), {"reason": "x"}).status_code == 302
        assert EventVoid.objects.get().event_uid == stray.uid

    def test_escapes_what_was_sent(self, staff: Client, subscription: Subscription) -> None:
        ingest(write_event(subscription, id="<b>x</b>"))

        content = read(staff.get(address(UsageEvent.objects.get(), "void")))

        assert "<b>x</b>" not in content


class TestAmend:
    def fill(self, event: UsageEvent, **changes: str) -> dict[str, str]:
        return {
            "event_id": "right",
            "event_type": event.event_type,
            "subscription_id": str(event.subscription_id),
            "timestamp": "2026-02-28T12:00:00Z",
            "properties": '{"input_tokens": 0.1000000000000000055}',
            "reason": "Counted twice",
            **changes,
        }

    def test_starts_from_what_is_stored(self, staff: Client, event: UsageEvent) -> None:
        content = read(staff.get(address(event, "amend")))

        assert "{&quot;input_tokens&quot;:4977500,&quot;output_tokens&quot;:1}" in content
        assert str(event.subscription_id) in content
        assert "2026-02-28T12:00:00+00:00" in content
        assert "$9.955" in content

    def test_puts_another_in_its_place_with_every_digit(
        self, staff: Client, subscription: Subscription, event: UsageEvent
    ) -> None:
        answer = staff.post(address(event, "amend"), self.fill(event))

        correction = UsageCorrection.objects.get()
        assert answer["Location"] == f"{CORRECTIONS}{correction.pk}/change/"
        assert EventVoid.objects.get().replacement_event_id == "right"
        assert format(read_totals(subscription)[INPUT], "f") == "0.1000000000000000055"
        assert find_breaches() == []

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"properties": "{"}, "This is not JSON"),
            ({"properties": '{}, "id": "other"'}, "This is not JSON"),
            ({"properties": "[1]"}, "The replacement was refused: Expected `object`, got `array`"),
            ({"properties": '{"input_tokens": -1}'}, "is negative"),
            ({"timestamp": "yesterday"}, "The timestamp is not an ISO 8601 time"),
            ({"timestamp": "2026-02-28T14:00:00Z"}, "more than an hour in the future"),
            ({"subscription_id": "0192aaaa-0000-7000-8000-000000000000"}, "has no subscription"),
            ({"event_id": ""}, "This field is required."),
            ({"reason": ""}, "This field is required."),
        ],
        ids=["json", "more", "list", "value", "time", "future", "subscription", "id", "reason"],
    )
    def test_says_what_is_wrong_and_keeps_what_was_typed(
        self,
        staff: Client,
        subscription: Subscription,
        event: UsageEvent,
        changes: dict[str, str],
        message: str,
    ) -> None:
        answer = staff.post(address(event, "amend"), self.fill(event, event_type="llm.completion", **changes))

        content = read(answer).replace("&#x27;", "'")
        assert message in content
        assert read_totals(subscription)[INPUT] == 4_977_500
        assert not UsageCorrection.objects.exists()

    def test_needs_another_id(self, staff: Client, event: UsageEvent) -> None:
        answer = staff.post(address(event, "amend"), self.fill(event, event_id=event.event_id))

        assert "The replacement was refused" in read(answer)


class TestAccess:
    @pytest.mark.parametrize("name", ["void", "amend"])
    def test_is_for_those_who_may_correct(self, make_staff: MakeStaff, event: UsageEvent, name: str) -> None:
        client = make_staff("view_usageevent", "view_usagecorrection")

        assert client.get(address(event, name)).status_code == 403
        assert client.post(address(event, name), {"reason": "x"}).status_code == 403
        assert not UsageCorrection.objects.exists()

    def test_is_given_by_one_right(self, make_staff: MakeStaff, event: UsageEvent) -> None:
        client = make_staff(*MAY_CORRECT)

        assert client.get(address(event, "void")).status_code == 200
        assert client.post(address(event, "void"), {"reason": "x"}).status_code == 302

    @pytest.mark.parametrize("name", ["void", "amend"])
    def test_asks_strangers_to_sign_in(self, event: UsageEvent, name: str) -> None:
        assert Client().get(address(event, name))["Location"].partition("?")[0] == "/admin/login/"

    @pytest.mark.parametrize("name", ["void", "amend"])
    def test_finds_no_event_that_is_not_there(self, staff: Client, event: UsageEvent, name: str) -> None:
        for customer_id, uid in ((event.customer_id, make_id()), (make_id(), event.uid)):
            path = reverse(f"admin:metering_usagecorrection_{name}", args=[customer_id, uid])
            assert staff.get(path).status_code == 404


class TestEvents:
    def test_lead_to_their_correction(self, make_staff: MakeStaff, event: UsageEvent) -> None:
        content = read(make_staff(*MAY_CORRECT).get(EVENTS, {"customer_id": str(event.customer_id)}))

        assert address(event, "void") in content
        assert address(event, "amend") in content

    def test_do_not_for_those_who_may_not(self, make_staff: MakeStaff, event: UsageEvent) -> None:
        content = read(make_staff("view_usageevent").get(EVENTS, {"customer_id": str(event.customer_id)}))

        assert event.event_id in content
        assert address(event, "void") not in content

    def test_that_are_void_are_marked_and_done_with(self, staff: Client, event: UsageEvent) -> None:
        void_usage(event)

        content = read(staff.get(EVENTS, {"customer_id": str(event.customer_id)}))

        assert ">Void</span>" in content
        assert address(event, "void") not in content


class TestCorrections:
    def test_are_listed_and_found_by_customer(self, staff: Client, event: UsageEvent) -> None:
        other = void_usage(make_usage(make_subscription("Harbour Robotics")))
        own = void_usage(event)

        content = read(staff.get(CORRECTIONS))
        assert str(own.pk) in content
        assert str(other.pk) in content
        found = read(staff.get(CORRECTIONS, {"q": "harbour"}))
        assert str(other.pk) in found
        assert str(own.pk) not in found

    def test_show_their_events(self, staff: Client, event: UsageEvent) -> None:
        own = void_usage(event)

        content = read(staff.get(f"{CORRECTIONS}{own.pk}/change/"))

        assert event.event_id in content
        assert f"{EVENTS}?customer_id={event.customer_id}&amp;q={event.event_id}" in content
        assert "A test run" in content
