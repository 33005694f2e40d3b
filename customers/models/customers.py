"""Customers: whom an invoice is addressed to."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Upper

from billing_project.core.fields import choice_constraint, currency_field, enum_field, id_field
from customers.models.clocks import TestClock

if TYPE_CHECKING:
    from uuid import UUID

MAX_PAYMENT_TERMS_DAYS = 365


class AccountType(models.TextChoices):
    """What a customer is; only an Organization can be a parent, only a Subsidiary has one."""

    ORGANIZATION = "Organization", "Organization"
    INDIVIDUAL = "Individual", "Individual"
    SUBSIDIARY = "Subsidiary", "Subsidiary"


class CustomerStatus(models.TextChoices):
    """Whether a customer may buy and use. A closed customer's events are refused."""

    ACTIVE = "Active", "Active"
    SUSPENDED = "Suspended", "Suspended"
    CLOSED = "Closed", "Closed"


class Consolidation(models.TextChoices):
    """Who receives the invoice: the customer, or the parent."""

    STANDALONE = "Standalone", "Billed alone"
    CONSOLIDATE_TO_PARENT = "ConsolidateToParent", "On the parent's invoice"


class Customer(models.Model):
    """Somebody who is billed, with what an invoice to them needs.

    `billing_address` has some of the keys of `core.seller.ADDRESS_KEYS`; its country is an ISO 3166 code.
    """

    id = id_field()
    display_name = models.CharField(max_length=200)
    legal_name = models.CharField(max_length=200, blank=True, default="")
    email = models.EmailField(max_length=254)
    external_id = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 (unique if given)
    currency = currency_field()
    account_type = enum_field(AccountType, default=AccountType.ORGANIZATION)
    status = enum_field(CustomerStatus, default=CustomerStatus.ACTIVE)
    timezone = models.CharField(max_length=64, default="UTC")
    tax_id = models.CharField(max_length=64, blank=True, default="")
    payment_terms_days = models.PositiveIntegerField(default=30)
    billing_address = models.JSONField(default=dict, blank=True)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    consolidation = enum_field(Consolidation, default=Consolidation.STANDALONE)
    test_clock = models.ForeignKey(
        TestClock, null=True, blank=True, on_delete=models.PROTECT, related_name="customers"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        parent_id: UUID | None
        test_clock_id: UUID | None

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["external_id"], name="customer_external_id_is_unique"),
            choice_constraint(table="customer", field="account_type", choices=AccountType),
            choice_constraint(table="customer", field="status", choices=CustomerStatus),
            choice_constraint(table="customer", field="consolidation", choices=Consolidation),
            models.CheckConstraint(
                condition=models.Q(parent__isnull=True) | models.Q(account_type=AccountType.SUBSIDIARY),
                name="customer_with_a_parent_is_a_subsidiary",
            ),
            models.CheckConstraint(
                condition=models.Q(consolidation=Consolidation.STANDALONE) | models.Q(parent__isnull=False),
                name="customer_consolidates_only_to_a_parent",
            ),
            models.CheckConstraint(
                condition=models.Q(payment_terms_days__lte=MAX_PAYMENT_TERMS_DAYS),
                name="customer_payment_terms_are_bounded",
            ),
        ]
        indexes = [
            models.Index(Upper("email"), models.F("id").desc(), name="customer_by_email"),
            models.Index("status", models.F("id").desc(), name="customer_by_status"),
            models.Index("account_type", models.F("id").desc(), name="customer_by_account_type"),
            models.Index("created_at", name="customer_by_created_at"),
        ]

    def __str__(self) -> str:
        return self.display_name

    @property
    def customer_id(self) -> "UUID":
        """Whose it is, under the name by which the audit trail asks everything: its own."""
        return self.pk
