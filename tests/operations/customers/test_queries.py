"""Reads of customers and test clocks."""

from datetime import UTC, datetime, timedelta

import pytest

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from customers.locks import lock_customer, lock_customers, lock_test_clock
from customers.operations import begin_clock_advance, move_clock
from customers.queries import (
    UnknownTestClock,
    find_advancing_clock_ids,
    find_by_external_id,
    get_customer,
    get_test_clock,
    now_for,
    now_on,
    read_customers,
)
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer, make_test_clock

pytestmark = pytest.mark.django_db

REAL = datetime(2026, 11, 24, tzinfo=UTC)


class TestGet:
    def test_finds_what_there_is(self) -> None:
        customer, clock = make_customer(external_id="nw-1"), make_test_clock()

        assert get_customer(customer.pk) == lock_customer(customer.pk) == customer
        assert find_by_external_id("nw-1") == customer
        assert get_test_clock(clock.pk) == lock_test_clock(clock.pk) == clock

    @pytest.mark.parametrize("get", [get_customer, lock_customer, get_test_clock, lock_test_clock])
    def test_refuses_what_there_is_not(self, get: object) -> None:
        assert callable(get)
        with pytest.raises(NotFound):
            get(make_id())

    def test_finds_nobody_under_an_unknown_external_id(self) -> None:
        make_customer(external_id="nw-1")

        assert find_by_external_id("nw-2") is None

    def test_reads_and_locks_several_without_the_unknown(self) -> None:
        first, second = make_customer(), make_customer()
        wanted = [second.pk, make_id(), first.pk]

        assert read_customers(wanted) == lock_customers(wanted) == {first.pk: first, second.pk: second}
        assert list(lock_customers(wanted)) == sorted([first.pk, second.pk])


class TestNowFor:
    def test_is_the_real_time(self) -> None:
        assert now_for(customer_id=make_customer().pk, real_now=REAL) == REAL

    def test_is_the_time_of_the_clock_as_it_moves(self) -> None:
        clock = make_test_clock(now_at=NOON)
        customer = make_customer(test_clock_id=clock.pk)
        assert now_for(customer_id=customer.pk, real_now=REAL) == NOON

        later = NOON + timedelta(days=1)
        begin_clock_advance(test_clock_id=clock.pk, to=later, at=REAL, actor=TESTER)
        assert now_for(customer_id=customer.pk, real_now=REAL) == NOON
        move_clock(test_clock_id=clock.pk, to=later, at=REAL, actor=TESTER)
        assert now_for(customer_id=customer.pk, real_now=REAL) == later

    def test_refuses_an_unknown_customer(self) -> None:
        with pytest.raises(NotFound):
            now_for(customer_id=make_id(), real_now=REAL)


class TestNowOn:
    def test_is_the_real_time_or_that_of_the_clock(self) -> None:
        clock = make_test_clock(now_at=NOON)

        assert now_on(test_clock_id=None, real_now=REAL) == REAL
        assert now_on(test_clock_id=clock.pk, real_now=REAL) == NOON

    def test_refuses_an_unknown_clock(self) -> None:
        with pytest.raises(UnknownTestClock):
            now_on(test_clock_id=make_id(), real_now=REAL)


class TestFindAdvancingClockIds:
    def test_has_those_on_their_way(self) -> None:
        make_test_clock()
        clock = make_test_clock()
        begin_clock_advance(test_clock_id=clock.pk, to=NOON + timedelta(days=1), at=REAL, actor=TESTER)

        assert find_advancing_clock_ids() == [clock.pk]
