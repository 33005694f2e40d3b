import io

import pytest
from django.core.management import CommandError, call_command

from invoicing.models import Invoice
from invoicing.runs import bill_runs
from tests.factories.metering import ingest, make_metered_plan, write_event
from tests.factories.subscriptions import subscribe, utc

pytestmark = pytest.mark.django_db

START = utc(2026, 1, 15)


def run_billing(*arguments: str) -> str:
    out = io.StringIO()
    call_command("run_billing", *arguments, stdout=out, stderr=out)
    return out.getvalue()


class TestRunBilling:
    def test_bills_what_was_due_at_an_instant(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        ingest(write_event(subscription, timestamp=START), at=START)

        assert run_billing("--at", "2026-01-14T00:00:00Z") == "Nothing is due.\n"
        assert "1 subscriptions, 1 invoices made final" in run_billing("--at", "2026-02-15T01:00:00Z")
        assert run_billing("--at", "2026-02-15T01:00:00Z") == "Nothing is due.\n"
        assert Invoice.objects.get().invoice_number == "INV-000001"

    def test_fails_where_something_could_not_be_billed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        subscribe(plan=make_metered_plan(), start_at=START, at=START)

        def fail(**_: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(bill_runs, "run_subscription", fail)
        with pytest.raises(CommandError, match="1 subscriptions could not be billed"):
            run_billing()

    @pytest.mark.parametrize("at", ["tomorrow", "2026-02-15T01:00:00"])
    def test_refuses_what_is_no_instant(self, at: str) -> None:
        with pytest.raises(CommandError, match="--at"):
            run_billing("--at", at)
