"""Usage events on the staff pages: those of one customer, without ever reading the whole table."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.admin.rows import make_subscription, make_usage
from tests.factories.metering import ingest, write_event

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
