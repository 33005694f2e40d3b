"""Views of the customers app."""

from typing import cast

from drf_spectacular.utils import extend_schema
from rest_framework import status as http
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.views import ApiViewSet
from customers.api.filters import CustomerFilters, TestClockFilters
from customers.api.serializers import (
    CreateCustomerInput,
    CreateTestClockInput,
    CustomerSerializer,
    TestClockSerializer,
    UpdateCustomerInput,
)
from customers.models import Customer, TestClock
from customers.operations import (
    CustomerChanges,
    CustomerProfile,
    create_customer,
    create_test_clock,
    update_customer,
)
from customers.queries import now_for, now_on


class CustomerViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Customers: whom invoices are addressed to."""

    queryset = Customer.objects.all()
    serializer_class = CustomerSerializer
    filterset_class = CustomerFilters
    access = Access(read=Scope.CUSTOMERS_READ, write=Scope.CUSTOMERS_WRITE)
    input_classes = {"create": CreateCustomerInput, "partial_update": UpdateCustomerInput}

    @extend_schema(responses={201: CustomerSerializer})
    def create(self, request: Request) -> Response:
        """Add a customer."""
        given = self.read_input()
        test_clock_id = given.pop("test_clock_id", None) or self.api_key.test_clock_id
        customer = create_customer(
            profile=CustomerProfile(**given),
            test_clock_id=test_clock_id,
            at=now_on(test_clock_id=test_clock_id, real_now=self.at),
            actor=self.actor,
        )
        return self.respond(customer, status=http.HTTP_201_CREATED)

    def partial_update(self, request: Request, **_: object) -> Response:
        """Change a customer; what is not named stays as it is."""
        customer_id = self.id_from_path()
        customer = update_customer(
            customer_id=customer_id,
            changes=cast("CustomerChanges", self.read_input()),
            at=now_for(customer_id=customer_id, real_now=self.at),
            actor=self.actor,
        )
        return self.respond(customer)


class TestClockViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Test clocks: times of their own for customers that are made to try things out."""

    __test__ = False  # Its name begins like a test class; pytest must not collect it.

    queryset = TestClock.objects.all()
    serializer_class = TestClockSerializer
    filterset_class = TestClockFilters
    access = Access(read=Scope.TEST_CLOCKS_READ, write=Scope.TEST_CLOCKS_WRITE)
    input_classes = {"create": CreateTestClockInput}

    @extend_schema(responses={201: TestClockSerializer})
    def create(self, request: Request) -> Response:
        """Make a test clock."""
        clock = create_test_clock(**self.read_input(), at=self.at, actor=self.actor)
        return self.respond(clock, status=http.HTTP_201_CREATED)
