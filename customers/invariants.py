"""What is true of customers at any moment."""

from collections.abc import Iterator

from customers.models import AccountType, Customer

_BATCH_SIZE = 1_000


def check_families() -> Iterator[str]:
    """Find customers whose parent cannot be one, or lives by another clock."""
    children = Customer.objects.filter(parent__isnull=False).select_related("parent").order_by("pk")
    for child in children.iterator(chunk_size=_BATCH_SIZE):
        assert child.parent is not None
        if child.parent.account_type != AccountType.ORGANIZATION:
            yield f"The parent {child.parent.pk} of customer {child.pk} is not an Organization."
        if child.parent.test_clock_id != child.test_clock_id:
            yield f"Customer {child.pk} and its parent {child.parent.pk} do not live by the same clock."
