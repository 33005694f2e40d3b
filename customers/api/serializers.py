"""Inputs and outputs of the customers app."""

from rest_framework import serializers

from billing_project.core.api.fields import EnumField, UtcDateTimeField
from billing_project.core.api.serializers import InputSerializer, OutputSerializer
from customers.models import AccountType, Consolidation, Customer, CustomerStatus, TestClock
from customers.models.customers import MAX_PAYMENT_TERMS_DAYS


class Address(InputSerializer):
    """A postal address, with what is known of it."""

    line1 = serializers.CharField(required=False, max_length=200)
    line2 = serializers.CharField(required=False, max_length=200)
    city = serializers.CharField(required=False, max_length=200)
    region = serializers.CharField(required=False, max_length=200)
    postal_code = serializers.CharField(required=False, max_length=32)
    country = serializers.CharField(required=False, max_length=2, help_text="ISO 3166, two letters.")


class CustomerSerializer(OutputSerializer[Customer]):
    """A customer."""

    billing_address = Address()
    parent_id = serializers.UUIDField(allow_null=True)
    test_clock_id = serializers.UUIDField(allow_null=True)

    class Meta:
        model = Customer
        fields = [
            "id",
            "display_name",
            "legal_name",
            "email",
            "external_id",
            "currency",
            "account_type",
            "status",
            "timezone",
            "tax_id",
            "payment_terms_days",
            "billing_address",
            "parent_id",
            "consolidation",
            "test_clock_id",
            "created_at",
        ]


class CustomerInput(InputSerializer):
    """What can be said about a customer at any time. What is not said stays, or takes its default."""

    legal_name = serializers.CharField(required=False, max_length=200, allow_blank=True)
    external_id = serializers.CharField(required=False, max_length=200, allow_null=True)
    account_type = EnumField(AccountType, required=False)
    timezone = serializers.CharField(
        required=False, max_length=64, help_text="Of the IANA database. Default: UTC."
    )
    tax_id = serializers.CharField(required=False, max_length=64, allow_blank=True)
    payment_terms_days = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_PAYMENT_TERMS_DAYS,
        help_text="Days from the finalisation of an invoice to its due date. Default: the seller's.",
    )
    billing_address = Address(required=False)
    parent_id = serializers.UUIDField(required=False, allow_null=True)
    consolidation = EnumField(Consolidation, required=False)


class CreateCustomerInput(CustomerInput):
    """A new customer. Without a `test_clock_id` it lives by the clock of the API key, if that has one."""

    display_name = serializers.CharField(max_length=200)
    email = serializers.EmailField(max_length=254)
    currency = serializers.CharField(max_length=3)
    test_clock_id = serializers.UUIDField(required=False, allow_null=True)


class UpdateCustomerInput(CustomerInput):
    """What is to change on a customer."""

    display_name = serializers.CharField(required=False, max_length=200)
    email = serializers.EmailField(required=False, max_length=254)
    currency = serializers.CharField(required=False, max_length=3)
    status = EnumField(CustomerStatus, required=False)


class TestClockSerializer(OutputSerializer[TestClock]):
    """A test clock. While it is Advancing, `target_at` is where it goes."""

    __test__ = False  # Its name begins like a test class; pytest must not collect it.

    class Meta:
        model = TestClock
        fields = ["id", "name", "now_at", "status", "target_at", "created_at"]


class CreateTestClockInput(InputSerializer):
    """Where a new clock stands."""

    name = serializers.CharField(required=False, max_length=200, allow_blank=True)
    now_at = UtcDateTimeField()
