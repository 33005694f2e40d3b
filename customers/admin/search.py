"""Finding rows by whom they belong to."""

from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from billing_project.core.admin.bases import BillingAdmin, RowT
from customers.models import Customer

MATCHES_LIMIT = 200


class CustomerSearchAdmin(BillingAdmin[RowT]):
    """A page whose rows are found by their customer, by an id, or by what `find_also` looks for.

    The customers are looked up first: joined, the search would read every row of a table that grows.
    """

    customer_path = "customer_id"
    search_fields = ("id",)  # Shows the field to search in; what is searched is below.
    search_help_text = "Customer or id"

    def find_also(self, text: str) -> Q:
        """Say what else a text may name."""
        return Q()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RowT], search_term: str
    ) -> tuple[QuerySet[RowT], bool]:
        """Find rows by an id or by their customer."""
        text = search_term.strip()
        if not text or _is_id(text):
            return super().get_search_results(request, queryset, text)
        condition = Q((f"{self.customer_path}__in", find_customer_ids(text))) | self.find_also(text)
        return queryset.filter(condition), False


def find_customer_ids(text: str) -> list[UUID]:
    """Find the customers of whom people would say that: by a part of a name, an address or an external id."""
    if "\x00" in text:
        return []  # The database has no such text, and takes none.
    named = Q(display_name__icontains=text) | Q(legal_name__icontains=text)
    known = Q(email__iexact=text) | Q(external_id=text)
    found = Customer.objects.filter(named | known).order_by("-pk")
    return list(found.values_list("pk", flat=True)[:MATCHES_LIMIT])


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
