"""Usage events on the staff pages: those of one customer, without ever reading the whole table."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metering.models import UsageEvent
from tests.admin.core.conftest import MakeStaff
from tests.admin.rows import bill_finally, make_subscription, make_usage, void_usage
from tests.factories.customers import make_customer
from tests.factories.metering import INPUT, ingest, write_event

pytestmark = pytest.mark.django_db

EVENTS = "/admin/metering/usageevent/"


class TestList:
    def test_shows_nothing_until_a_customer_is_chosen(self, staff: Client) -> None:
        event = make_usage(make_subscription())

        with CaptureQueriesContext(connection) as queries:
            content = staff.get(EVENTS).content.decode()

        assert event.event_id not in content
        assert not any("metering_usageevent" in query["sql"] for query in queries)

    def test_shows_the_events_of_one_customer_and_counts_none(self, staff: Client) -> None:
        own = make_usage(make_subscription("One"))
        other = make_usage(make_subscription("Two"))

        with CaptureQueriesContext(connection) as queries:
            content = staff.get(EVENTS, {"customer_id": str(own.customer_id)}).content.decode()

        assert own.event_id in content
        assert "&quot;input_tokens&quot;:4977500" in content
        assert f"/admin/subscriptions/subscription/{own.subscription_id}/change/" in content
        assert other.event_id not in content
        reads = [query["sql"] for query in queries if "metering_usageevent" in query["sql"]]
        assert len(reads) == 1
        assert "customer_id" in reads[0].partition("WHERE")[2]
        assert "COUNT(" not in reads[0]

    def test_reads_by_an_index(self, staff: Client) -> None:
        event = make_usage(make_subscription())
        with CaptureQueriesContext(connection) as queries:
            staff.get(EVENTS, {"customer_id": str(event.customer_id)})
        (read,) = [query["sql"] for query in queries if "metering_usageevent" in query["sql"]]

        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {read}")
            plan = "\n".join(line for (line,) in cursor.fetchall())

        assert "customer_id_uid_idx" in plan
        assert "Sort" not in plan

    def test_shows_every_digit_and_escapes_what_was_sent(self, staff: Client) -> None:
        subscription = make_subscription()
        properties = {"input_tokens": 1, "score": 0.30000000000000004, "note": "<b>x</b>"}
        ingest(write_event(subscription, properties=properties))

        content = staff.get(EVENTS, {"customer_id": str(subscription.customer_id)}).content.decode()

        assert "&quot;score&quot;:0.30000000000000004" in content
        assert "<b>x</b>" not in content
        assert "&lt;b&gt;x&lt;/b&gt;" in content

    def test_marks_what_counts_for_no_subscription(self, staff: Client) -> None:
        subscription = make_subscription()
        ingest(write_event(subscription.customer, event_type="other", properties={}))

        content = staff.get(EVENTS, {"customer_id": str(subscription.customer_id)}).content.decode()

        assert ">Unmatched</span>" in content

    def test_takes_no_id_that_is_none(self, staff: Client) -> None:
        answer = staff.get(EVENTS, {"customer_id": "nonsense"}, follow=True)

        assert answer.status_code == 200
        assert answer.redirect_chain == [(f"{EVENTS}?e=1", 302)]


class TestSearch:
    def test_chooses_a_customer_by_an_id(self, staff: Client) -> None:
        event = make_usage(make_subscription())

        answer = staff.get(EVENTS, {"q": f" {event.customer_id} "})

        assert answer["Location"] == f"{EVENTS}?customer_id={event.customer_id}"

    def test_chooses_a_customer_by_name(self, staff: Client) -> None:
        event = make_usage(make_subscription("Harbour Robotics"))

        answer = staff.get(EVENTS, {"q": "harbour"})

        assert answer["Location"] == f"{EVENTS}?customer_id={event.customer_id}"

    @pytest.mark.parametrize(
        ("text", "message"),
        [("Robotics", "Several customers are called that"), ("Nobody", "No customer is called that.")],
    )
    def test_chooses_none_unless_it_is_clear_which(self, staff: Client, text: str, message: str) -> None:
        for name in ("Harbour Robotics", "Valley Robotics"):
            make_subscription(name)

        answer = staff.get(EVENTS, {"q": text})

        assert answer.status_code == 200
        assert message in answer.content.decode()

    def test_finds_one_event_of_the_customer(self, staff: Client) -> None:
        subscription = make_subscription()
        one, two = make_usage(subscription), make_usage(subscription)
        query = {"customer_id": str(subscription.customer_id), "q": one.event_id}

        content = staff.get(EVENTS, query).content.decode()

        cells = "".join(content.split())
        assert f">{one.event_id}<" in cells
        assert f">{two.event_id}<" not in cells


class TestPage:
    def test_is_not_there(self, staff: Client) -> None:
        event = make_usage(make_subscription())

        with CaptureQueriesContext(connection) as queries:
            answer = staff.get(f"{EVENTS}{event.uid}/change/")

        assert (answer.status_code, answer["Location"]) == (302, "/admin/")
        assert not any("metering_usageevent" in query["sql"] for query in queries)


class TestTrace:
    def address(self, event: UsageEvent) -> str:
        return reverse("admin:metering_usageevent_trace", args=[event.customer_id, event.uid])

    def read(self, client: Client, event: UsageEvent) -> str:
        answer = client.get(self.address(event))
        assert answer.status_code == 200
        return " ".join(answer.content.decode().split())

    def test_is_where_the_list_leads(self, staff: Client) -> None:
        event = make_usage(make_subscription())

        content = staff.get(EVENTS, {"customer_id": str(event.customer_id)}).content.decode()

        assert f'href="{self.address(event)}"' in content

    def test_shows_how_it_was_matched_and_that_it_is_to_be_billed(self, staff: Client) -> None:
        subscription = make_subscription()
        event = make_usage(subscription)

        content = self.read(staff, event)

        assert "The period is open: it goes on the next invoice." in content
        assert f"/admin/subscriptions/subscription/{subscription.pk}/change/" in content
        assert f"/admin/subscriptions/period/{subscription.periods.get().pk}/change/" in content
        assert INPUT in content
        assert "4,977,500" in content
        assert reverse("admin:metering_usagecorrection_void", args=[event.customer_id, event.uid]) in content

    def test_leads_to_the_invoice_that_it_is_on(self, staff: Client) -> None:
        subscription = make_subscription()
        event = make_usage(subscription)
        invoice = bill_finally(subscription)

        content = self.read(staff, event)

        assert f"/admin/invoicing/invoice/{invoice.pk}/change/" in content
        assert f"It is on invoice {invoice.invoice_number}." in content

    def test_says_who_took_it_back_and_why(self, staff: Client) -> None:
        event = make_usage(make_subscription())
        correction = void_usage(event)

        content = self.read(staff, event)

        assert f"/admin/metering/usagecorrection/{correction.pk}/change/" in content
        assert "A test run" in content
        assert (
            reverse("admin:metering_usagecorrection_void", args=[event.customer_id, event.uid]) not in content
        )

    def test_leads_from_an_unmatched_one_to_where_it_is_matched(self, staff: Client) -> None:
        customer = make_customer()
        ingest(write_event(customer, id="stray"))
        event = UsageEvent.objects.get(event_id="stray")

        content = self.read(staff, event)

        assert "No subscription of the customer charged" in content
        assert reverse("admin:metering_usagecorrection_match", args=[customer.pk]) in content

    def test_leads_to_what_was_sent_again(self, staff: Client) -> None:
        subscription = make_subscription()
        event = write_event(subscription)
        ingest(event)
        ingest(event)
        stored = UsageEvent.objects.get(event_id=event["id"])
        (address,) = re.findall(r'href="(/admin/metering/ingestnote/[^"]+)"', self.read(staff, stored))

        content = staff.get(address.replace("&amp;", "&")).content.decode()

        assert content.count(f">{event['id']}<") == 1

    def test_escapes_what_was_sent(self, staff: Client) -> None:
        subscription = make_subscription()
        ingest(write_event(subscription, id="<i>1</i>", properties={"input_tokens": 1, "note": "<b>x</b>"}))

        content = self.read(staff, UsageEvent.objects.get(event_id="<i>1</i>"))

        assert "<b>x</b>" not in content
        assert "<i>1</i>" not in content

    def test_is_for_those_who_may_see_events(self, make_staff: MakeStaff) -> None:
        event = make_usage(make_subscription())

        assert make_staff("view_usagecorrection").get(self.address(event)).status_code == 403

    def test_offers_corrections_to_those_who_may_correct(self, make_staff: MakeStaff) -> None:
        event = make_usage(make_subscription())

        content = self.read(make_staff("view_usageevent"), event)

        assert event.event_id in content
        assert "Amend" not in content

    def test_finds_none_of_another_customer(self, staff: Client) -> None:
        event = make_usage(make_subscription())

        path = reverse("admin:metering_usageevent_trace", args=[make_customer().pk, event.uid])

        assert staff.get(path).status_code == 404
