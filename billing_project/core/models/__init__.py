"""Models of core, a file for each aggregate."""

from billing_project.core.models.api_keys import ApiKey, ApiKeyKind, ApiKeyRole
from billing_project.core.models.audit import AuditEntry
from billing_project.core.models.idempotency import IdempotencyRecord
from billing_project.core.models.outbox import DeliveryStatus, OutboxDelivery, OutboxEvent
from billing_project.core.models.rate_limits import RateCounter
from billing_project.core.models.seller import Mode, Seller
from billing_project.core.models.sequences import NumberSequence

__all__ = [
    "ApiKey",
    "ApiKeyKind",
    "ApiKeyRole",
    "AuditEntry",
    "DeliveryStatus",
    "IdempotencyRecord",
    "Mode",
    "NumberSequence",
    "OutboxDelivery",
    "OutboxEvent",
    "RateCounter",
    "Seller",
]
