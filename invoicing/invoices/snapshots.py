"""Copies of who the seller and the customer were when an invoice became final."""

from billing_project.core.models import Seller
from customers.models import Customer


def copy_seller(seller: Seller) -> dict[str, object]:
    """Copy what an invoice says about the seller."""
    return {
        "legal_name": seller.legal_name,
        "address": dict(seller.address),
        "tax_id": seller.tax_id,
        "email": seller.email,
        "timezone": seller.timezone,
        "locale": seller.locale,
    }


def copy_customer(customer: Customer) -> dict[str, object]:
    """Copy what an invoice says about the customer."""
    return {
        "display_name": customer.display_name,
        "legal_name": customer.legal_name,
        "email": customer.email,
        "tax_id": customer.tax_id,
        "billing_address": dict(customer.billing_address),
        "timezone": customer.timezone,
    }
