"""Operations on customers and test clocks: the only code that changes them."""

from customers.operations.clocks import (
    begin_clock_advance,
    create_test_clock,
    finish_clock_advance,
    move_clock,
)
from customers.operations.customers import CustomerChanges, CustomerProfile, create_customer, update_customer

__all__ = [
    "CustomerChanges",
    "CustomerProfile",
    "begin_clock_advance",
    "create_customer",
    "create_test_clock",
    "finish_clock_advance",
    "move_clock",
    "update_customer",
]
