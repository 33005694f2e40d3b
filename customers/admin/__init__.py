"""Staff pages of customers and test clocks. Invoicing completes and registers that of a test clock."""

from customers.admin.clocks import TestClockAdmin
from customers.admin.customers import CustomerAdmin

__all__ = ["CustomerAdmin", "TestClockAdmin"]
