"""The seller: whose install this is. There is exactly one."""

from django.core.validators import MaxValueValidator
from django.db import models

from billing_project.core.fields import choice_constraint, currency_field, enum_field

THE_SELLER = 1
TEN_THOUSAND = 10_000


class Mode(models.TextChoices):
    """Whether the install bills for real."""

    TEST = "Test", "Test"
    LIVE = "Live", "Live"


class Seller(models.Model):
    """Who sends the invoices, and how this install bills.

    `address` has the keys line1, line2, city, region, postal_code and country (ISO 3166, two letters).
    `mode` is written when the row is made; it is fixed from the first number on.
    """

    id = models.SmallIntegerField(primary_key=True, default=THE_SELLER, editable=False)
    mode = enum_field(Mode)
    legal_name = models.CharField(max_length=200)
    address = models.JSONField(default=dict, blank=True)
    tax_id = models.CharField(max_length=64, blank=True, default="")
    email = models.EmailField(max_length=254, blank=True, default="")
    currency = currency_field()
    timezone = models.CharField(max_length=64, default="UTC")
    locale = models.CharField(max_length=16, default="en_US")
    invoice_prefix = models.CharField(max_length=16, default="INV-", blank=True)
    default_payment_terms_days = models.PositiveIntegerField(default=30)
    grace_seconds = models.PositiveIntegerField(default=3600)
    tax_engine = models.CharField(max_length=64, default="None")
    tax_flat_rate_bps = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(TEN_THOUSAND)])
    skip_zero_invoices = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=THE_SELLER), name="seller_is_the_only_one"),
            choice_constraint(table="seller", field="mode", choices=Mode),
            models.CheckConstraint(
                condition=models.Q(tax_flat_rate_bps__lte=TEN_THOUSAND),
                name="seller_flat_rate_is_at_most_all",
            ),
        ]

    def __str__(self) -> str:
        return self.legal_name
