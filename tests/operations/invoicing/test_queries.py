"""Reading what of a period is on invoices already."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_project.core.ids import make_id
from invoicing.invoices.operations import void_invoice
from invoicing.invoices.queries import (
    BilledSoFar,
    find_period_draft,
    get_document,
    get_invoice,
    is_period_billed,
    list_covered_period_ids,
    read_billed,
    read_carried_nanos,
)
from invoicing.locks import InvoiceNotFound
from invoicing.models import InvoiceReason, VoidOutcome
from tests.factories.core import NOON, TESTER
from tests.factories.invoicing import (
    CENT,
    DOLLAR,
    close,
    finalize,
    make_contract,
    make_draft,
    make_final,
    make_line,
    write,
)

pytestmark = pytest.mark.django_db


class TestReadBilled:
    def test_adds_up_final_lines_by_key(self) -> None:
        contract = make_contract()
        meter_id = contract.item.sku.prices.get().meter_id
        first = make_line(
            contract, 3 * DOLLAR, quantity=Decimal("1.5"), meter_id=meter_id, late_quantity=Decimal("0.5")
        )
        second = make_line(contract, -DOLLAR, quantity=Decimal(-1), meter_id=meter_id)
        finalize(write(contract, first, make_line(contract, 7 * DOLLAR, key="other")))
        finalize(write(contract, second, make_line(contract, DOLLAR, key="other", quantity=Decimal(9))))
        make_draft(contract, charges=[50 * DOLLAR])
        finalize(make_draft(make_contract()))

        assert read_billed(segment_ids=[contract.segment.pk]) == {
            contract.key: BilledSoFar(2 * DOLLAR, Decimal("0.5"), Decimal("0.5")),
            "other": BilledSoFar(8 * DOLLAR, Decimal(109)),
        }

    def test_is_one_query(self) -> None:
        contract, other = make_contract(), make_contract()
        make_final(contract, charges=[DOLLAR, DOLLAR])
        make_final(other)

        with CaptureQueriesContext(connection) as queries:
            billed = read_billed(segment_ids=[contract.segment.pk, other.segment.pk])

        assert (len(billed), len(queries)) == (3, 1)

    def test_is_empty_where_nothing_was_billed(self) -> None:
        assert read_billed(segment_ids=[make_contract().segment.pk]) == {}


class TestIsPeriodBilled:
    def test_looks_for_a_final_invoice_of_that_reason_that_is_not_void(self) -> None:
        contract = make_contract()
        at = close(contract)
        period_id, reason = contract.period.pk, InvoiceReason.PERIOD_END
        draft = make_draft(contract, reason=reason, at=at)
        assert not is_period_billed(period_id=period_id, reason=reason)

        finalize(draft, at=at)
        assert is_period_billed(period_id=period_id, reason=reason)
        assert not is_period_billed(period_id=period_id, reason=InvoiceReason.PERIOD_START)

        void_invoice(invoice_id=draft.pk, reason="Wrong", then=VoidOutcome.FORGIVE, at=at, actor=TESTER)
        assert not is_period_billed(period_id=period_id, reason=reason)


class TestFindPeriodDraft:
    def test_finds_the_draft_and_no_final_invoice(self) -> None:
        contract = make_contract()
        ids = {"subscription_id": contract.subscription.pk, "period_id": contract.period.pk}
        assert find_period_draft(**ids) is None

        draft = make_draft(contract)
        assert find_period_draft(**ids) == draft

        finalize(draft)
        assert find_period_draft(**ids) is None


class TestReadCarriedNanos:
    def test_adds_up_the_final_invoices_of_the_period(self) -> None:
        contract = make_contract()
        assert read_carried_nanos(period_id=contract.period.pk) == 0

        make_final(contract, charges=[6 * CENT // 10])
        make_final(contract, charges=[3 * CENT // 10], at=NOON + timedelta(days=1))
        make_draft(contract, charges=[8 * CENT // 10])
        make_final(make_contract(), charges=[2 * CENT // 10])

        # 0.6 of a cent was billed as 1, and then 0.3 less the 0.4 too many as 0.
        assert read_carried_nanos(period_id=contract.period.pk) == CENT // 10

    def test_is_nothing_without_a_period(self) -> None:
        assert read_carried_nanos(period_id=None) == 0


class TestGetInvoice:
    def test_knows_only_what_there_is(self) -> None:
        draft = make_draft()

        assert get_invoice(draft.pk) == get_document(draft.pk) == draft
        with pytest.raises(InvoiceNotFound):
            get_invoice(make_id())
        with pytest.raises(InvoiceNotFound):
            get_document(make_id())


class TestListCoveredPeriodIds:
    def test_reads_the_coverage(self) -> None:
        contract = make_contract()

        assert list_covered_period_ids(make_draft(contract).pk) == [contract.period.pk]
