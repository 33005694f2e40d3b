"""Models of the customers app, a file for each aggregate."""

from customers.models.clocks import ClockStatus, TestClock
from customers.models.customers import AccountType, Consolidation, Customer, CustomerStatus

__all__ = ["AccountType", "ClockStatus", "Consolidation", "Customer", "CustomerStatus", "TestClock"]
