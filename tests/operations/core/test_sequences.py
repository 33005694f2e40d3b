"""Numbers without gaps."""

import pytest
from django.db import transaction

from billing_project.core.models import NumberSequence
from billing_project.core.sequences import is_number_taken, take_number, take_numbers

pytestmark = pytest.mark.django_db


class TestTakeNumber:
    def test_counts_from_one(self) -> None:
        assert [take_number("invoice") for _ in range(3)] == [1, 2, 3]

    def test_counts_each_series_by_itself(self) -> None:
        take_number("invoice")

        assert take_number("credit-note") == 1
        assert NumberSequence.objects.get(series="invoice").last_number == 1

    def test_gives_the_number_back_when_the_transaction_fails(self) -> None:
        take_number("invoice")
        with pytest.raises(RuntimeError), transaction.atomic():
            assert take_number("invoice") == 2
            raise RuntimeError

        assert take_number("invoice") == 2


class TestTakeNumbers:
    def test_takes_a_run(self) -> None:
        take_number("invoice")

        assert list(take_numbers("invoice", 3)) == [2, 3, 4]
        assert take_number("invoice") == 5

    def test_refuses_none(self) -> None:
        with pytest.raises(AssertionError):
            take_numbers("invoice", 0)


class TestIsNumberTaken:
    def test_tells(self) -> None:
        assert not is_number_taken()
        take_number("invoice")
        assert is_number_taken()


@pytest.mark.django_db(transaction=True)
def test_is_taken_only_in_a_transaction() -> None:
    with pytest.raises(AssertionError, match="in the transaction"):
        take_number("invoice")
