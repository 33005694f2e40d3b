"""Staff pages of core, and what the pages of every app stand on (`bases`, `columns`, `actions`).

Owns: how a page calls an operation and shows its refusal, how money and states look, core's own pages.
Does not own: the site, its navigation and its theme, which the assembly puts together.
Always true: a page writes only through an operation, with the member of staff as the actor.
"""

from billing_project.core.admin.api_keys import ApiKeyAdmin
from billing_project.core.admin.audit import AuditEntryAdmin
from billing_project.core.admin.outbox import OutboxDeliveryAdmin, OutboxEventAdmin
from billing_project.core.admin.requests import IdempotencyRecordAdmin, RateCounterAdmin
from billing_project.core.admin.schedule import PeriodicTaskAdmin
from billing_project.core.admin.seller import SellerAdmin
from billing_project.core.admin.sequences import NumberSequenceAdmin
from billing_project.core.admin.staff import StaffAdmin, StaffGroupAdmin

__all__ = [
    "ApiKeyAdmin",
    "AuditEntryAdmin",
    "IdempotencyRecordAdmin",
    "NumberSequenceAdmin",
    "OutboxDeliveryAdmin",
    "OutboxEventAdmin",
    "PeriodicTaskAdmin",
    "RateCounterAdmin",
    "SellerAdmin",
    "StaffAdmin",
    "StaffGroupAdmin",
]
