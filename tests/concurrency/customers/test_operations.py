"""Operations on customers and test clocks from many sides at once."""

from datetime import timedelta
from functools import partial

import pytest

from billing_project.core import invariants
from billing_project.core.models import AuditEntry, OutboxEvent
from customers.invariants import check_families
from customers.models import AccountType, ClockStatus, Customer
from customers.operations import (
    begin_clock_advance,
    finish_clock_advance,
    move_clock,
    update_customer,
)
from customers.operations.clocks import ClockAdvancing
from customers.operations.customers import CustomerHasChildren, ExternalIdTaken, InvalidCustomer
from tests.concurrency.racing import errors_of, race
from tests.factories.core import NOON, TESTER, make_seller
from tests.factories.customers import make_customer, make_test_clock

pytestmark = pytest.mark.django_db(transaction=True)

TARGET = NOON + timedelta(days=31)


class TestCreateCustomer:
    def test_gives_an_external_id_to_one(self) -> None:
        make_seller()

        outcomes = race(*[partial(make_customer, external_id="nw-1")] * 8)

        assert [type(error) for error in errors_of(outcomes)] == [ExternalIdTaken] * 7
        assert (
            Customer.objects.count()
            == OutboxEvent.objects.count()
            == AuditEntry.objects.filter(action="customer.created").count()
            == 1
        )


class TestUpdateCustomer:
    def test_keeps_what_both_have_changed(self) -> None:
        customer = make_customer()
        change = partial(update_customer, customer_id=customer.pk, at=NOON, actor=TESTER)

        outcomes = race(
            partial(change, changes={"legal_name": "NeuralWorks Incorporated"}),
            partial(change, changes={"tax_id": "US1"}),
            partial(change, changes={"timezone": "America/Denver"}),
        )

        assert errors_of(outcomes) == []
        customer.refresh_from_db()
        assert (customer.legal_name, customer.tax_id, customer.timezone) == (
            "NeuralWorks Incorporated",
            "US1",
            "America/Denver",
        )

    def test_makes_a_parent_or_something_else_of_a_customer_and_not_both(self) -> None:
        for _ in range(5):
            parent = make_customer()

            outcomes = race(
                partial(
                    update_customer,
                    customer_id=parent.pk,
                    changes={"account_type": AccountType.INDIVIDUAL},
                    at=NOON,
                    actor=TESTER,
                ),
                partial(make_customer, account_type=AccountType.SUBSIDIARY, parent_id=parent.pk),
            )

            (refused,) = errors_of(outcomes)
            assert isinstance(refused, CustomerHasChildren | InvalidCustomer)
        assert list(check_families()) == []

    def test_does_not_deadlock_where_two_families_swap(self) -> None:
        first, second = make_customer(), make_customer()
        child = make_customer(account_type=AccountType.SUBSIDIARY, parent_id=first.pk)
        change = partial(update_customer, customer_id=child.pk, at=NOON, actor=TESTER)

        outcomes = race(
            *[partial(change, changes={"parent_id": parent.pk}) for parent in (first, second) * 4],
            *[
                partial(
                    update_customer,
                    customer_id=parent.pk,
                    changes={"tax_id": str(number)},
                    at=NOON,
                    actor=TESTER,
                )
                for number, parent in enumerate((second, first))
            ],
        )

        assert errors_of(outcomes) == []
        assert list(check_families()) == []


class TestClocks:
    def test_are_set_on_their_way_once(self) -> None:
        clock = make_test_clock(now_at=NOON)

        outcomes = race(
            *[partial(begin_clock_advance, test_clock_id=clock.pk, to=TARGET, at=NOON, actor=TESTER)] * 6
        )

        assert [type(error) for error in errors_of(outcomes)] == [ClockAdvancing] * 5
        assert AuditEntry.objects.filter(action="test_clock.advance_begun").count() == 1

    def test_only_move_forward_whoever_drives_them(self) -> None:
        clock = make_test_clock(now_at=NOON)
        begin_clock_advance(test_clock_id=clock.pk, to=TARGET, at=NOON, actor=TESTER)

        outcomes = race(
            *[
                partial(
                    move_clock, test_clock_id=clock.pk, to=NOON + timedelta(days=days), at=NOON, actor=TESTER
                )
                for days in (5, 1, 9, 3)
            ],
            partial(finish_clock_advance, test_clock_id=clock.pk, target_at=TARGET, at=NOON, actor=TESTER),
        )

        assert errors_of(outcomes) == []
        clock.refresh_from_db()
        assert (clock.now_at, clock.status) == (TARGET, ClockStatus.READY)
        moves = [
            entry.changes["now_at"]
            for entry in AuditEntry.objects.filter(action__startswith="test_clock.").order_by("id")
            if "now_at" in entry.changes and entry.action != "test_clock.created"
        ]
        assert all(before < after for before, after in moves)
        assert [name for name in invariants.run_checks() if name.breaches] == []
