"""A subscription's usage over HTTP."""

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyKind
from catalog.models import BillingCadence, Meter
from subscriptions.models import Period, Subscription
from tests.api.problems import read_problem
from tests.factories.core import NOON, make_client
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.metering import INPUT, OUTPUT, close, ingest, make_metered_plan, write_event
from tests.factories.subscriptions import subscribe, utc

pytestmark = pytest.mark.django_db

FIRST_END = utc(2026, 3, 2)


@pytest.fixture
def client() -> APIClient:
    return make_client()


def make_subscription(*, now: object = NOON) -> Subscription:
    """Make a daily subscription that began at noon, of a customer for whom it is `now`."""
    customer = make_customer(test_clock_id=make_test_clock(now_at=now).pk)  # type: ignore[arg-type]
    return subscribe(customer=customer, plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))


def address(subscription: Subscription) -> str:
    return f"/v1/subscriptions/{subscription.pk}/usage"


class TestRetrieve:
    def test_shows_every_meter_of_the_plan(self, client: APIClient) -> None:
        subscription = make_subscription()
        ingest(*[write_event(subscription, properties={"input_tokens": "1.5"}) for _ in range(2)])

        answer = client.get(address(subscription))

        assert answer.status_code == 200
        assert answer.json() == {
            "period_id": str(subscription.periods.get().pk),
            "period_start": "2026-02-28T12:00:00Z",
            "period_end": "2026-03-02T00:00:00Z",
            "meters": [{"meter_id": INPUT, "value": "3"}, {"meter_id": OUTPUT, "value": "0"}],
        }

    def test_shows_the_last_batch_at_once(self, client: APIClient) -> None:
        subscription = make_subscription()

        for count in (1, 2):
            ingest(write_event(subscription))
            assert client.get(address(subscription)).json()["meters"][0]["value"] == str(10 * count)

    def test_shows_digits_without_zeros_behind_them_or_an_exponent(self, client: APIClient) -> None:
        subscription = make_subscription()
        ingest(write_event(subscription, properties={"input_tokens": "1e20", "output_tokens": "2.50"}))

        meters = client.get(address(subscription)).json()["meters"]

        assert [meter["value"] for meter in meters] == ["1" + "0" * 20, "2.5"]

    def test_shows_the_unit_and_the_late_part_where_there_is_one(self, client: APIClient) -> None:
        subscription = make_subscription(now=FIRST_END)
        Meter.objects.filter(code=INPUT).update(unit="tokens")
        close(subscription, 0, at=FIRST_END)
        ingest(
            write_event(subscription),
            write_event(subscription, timestamp=FIRST_END, properties={"input_tokens": 5}),
        )

        meters = client.get(address(subscription)).json()["meters"]

        assert meters == [
            {"meter_id": INPUT, "value": "15", "unit": "tokens", "late_value": "10"},
            {"meter_id": OUTPUT, "value": "2", "late_value": "2"},
        ]

    def test_shows_another_period_if_asked_to(self, client: APIClient) -> None:
        subscription = make_subscription(now=FIRST_END)
        ingest(write_event(subscription), write_event(subscription, timestamp=FIRST_END))
        first, second = Period.objects.filter(subscription=subscription).order_by("number")

        def show(period: str) -> str:
            shown: str = client.get(address(subscription), {"period": period}).json()["period_id"]
            return shown

        assert show("current") == str(second.pk)
        assert show("previous") == str(first.pk)
        assert show(str(first.pk)) == str(first.pk)

    @pytest.mark.parametrize(
        ("query", "status", "code"),
        [
            ({"period": "next"}, 422, "invalid_input"),
            ({"period": ""}, 422, "invalid_input"),
            ({"period": "01944b1f-0000-7000-8000-000000000001"}, 404, "not_found"),
            ({"period": "previous"}, 404, "not_found"),
            ({"granularity": "day"}, 422, "unknown_parameter"),
            ({"group_by": "model"}, 422, "unknown_parameter"),
        ],
        ids=str,
    )
    def test_refuses_what_it_does_not_know(
        self, client: APIClient, query: dict[str, str], status: int, code: str
    ) -> None:
        answer = client.get(address(make_subscription()), query)

        assert read_problem(answer)[:2] == (status, code)

    def test_refuses_an_unknown_subscription(self, client: APIClient) -> None:
        assert read_problem(client.get(f"/v1/subscriptions/{make_id()}/usage"))[:2] == (404, "not_found")

    def test_needs_the_scope(self) -> None:
        subscription = make_subscription(now=NOON + timedelta(hours=1))

        def ask(*scopes: str) -> int:
            client = make_client(kind=ApiKeyKind.RESTRICTED, scopes=list(scopes))
            return client.get(address(subscription)).status_code

        assert [ask("metering:read"), ask("events:read"), ask("subscriptions:read")] == [200, 403, 403]
