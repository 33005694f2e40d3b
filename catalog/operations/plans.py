"""Operations on plans. What a plan is called belongs to the plan; its terms belong to a version of it."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict, InvalidInput, NotFound
from catalog.locks import lock_latest_version, lock_product
from catalog.models import (
    Anchor,
    BillingCadence,
    CatalogStatus,
    Plan,
    PlanVersion,
    Product,
    TrialUsage,
)
from catalog.models.plans import MAX_TRIAL_DAYS, VERSION_FIELDS
from catalog.operations.versions import ensure_editable_version

_PLAN_FIELDS = ("name", "description", "product_id", "status")


class UnknownProduct(InvalidInput):
    """There is no product of that id."""

    code = "unknown_product"


class ProductArchived(Conflict):
    """An archived product takes no further plans."""

    code = "product_archived"


class TrialTooLong(InvalidInput):
    """A trial has to end within a time that somebody will still be there to see."""

    code = "trial_too_long"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTerms:
    """What a subscription to a plan agrees to, apart from the prices."""

    billing_cadence: BillingCadence
    anchor: Anchor = Anchor.ANNIVERSARY
    trial_days: int = 0
    trial_usage: TrialUsage = TrialUsage.BILLED


class PlanChanges(TypedDict, total=False):
    """What can be changed on a plan; a key that is missing stays as it is."""

    name: str
    description: str
    product_id: UUID | None
    status: CatalogStatus
    billing_cadence: BillingCadence
    anchor: Anchor
    trial_days: int
    trial_usage: TrialUsage


@transaction.atomic
def create_plan(
    *,
    name: str,
    terms: PlanTerms,
    description: str = "",
    product_id: UUID | None = None,
    at: datetime,
    actor: Actor,
) -> Plan:
    """Add a plan with its first version, which charges nothing until SKUs are added.

    Raises: UnknownProduct; ProductArchived; TrialTooLong.
    Locks: product.
    """
    _check_trial(terms.trial_days)
    _check_product(product_id)
    plan = Plan(name=name, description=description, product_id=product_id)
    plan.save(force_insert=True)
    version = PlanVersion(plan=plan, number=1, **asdict(terms))
    version.save(force_insert=True)
    changes = audit.made(plan, *_PLAN_FIELDS) | audit.made(version, *VERSION_FIELDS)
    audit.record("plan.created", subject=plan, changes=changes, actor=actor, at=at)
    return plan


@transaction.atomic
def update_plan(*, plan_id: UUID, changes: PlanChanges, at: datetime, actor: Actor) -> Plan:
    """Change a plan. Other terms than those of its published version make the next version.

    Raises: NotFound; UnknownProduct; ProductArchived; TrialTooLong.
    Locks: plan, plan version, product.
    """
    latest = lock_latest_version(plan_id=plan_id)
    plan = latest.plan
    changed = audit.set_fields(plan, {name: value for name, value in changes.items() if name in _PLAN_FIELDS})
    if "product_id" in changed:
        _check_product(plan.product_id)
    if changed:
        plan.save(update_fields=changed)
    terms = {
        name: value
        for name, value in changes.items()
        if name in VERSION_FIELDS and value != getattr(latest, name)
    }
    if terms:
        _check_trial(changes.get("trial_days", 0))
        version = ensure_editable_version(plan_id=plan_id, at=at, actor=actor)
        changed_terms = audit.set_fields(version, terms)
        version.save(update_fields=changed_terms)
        changed |= changed_terms
    if changed:
        audit.record("plan.updated", subject=plan, changes=changed, actor=actor, at=at)
    return plan


def _check_trial(trial_days: int) -> None:
    if trial_days > MAX_TRIAL_DAYS:
        raise TrialTooLong(f"A trial lasts at most {MAX_TRIAL_DAYS} days.", field="trial_days")


def _check_product(product_id: UUID | None) -> None:
    if product_id is None:
        return
    try:
        product: Product = lock_product(product_id)
    except NotFound as error:
        raise UnknownProduct(error.detail, field="product_id") from None
    if product.status == CatalogStatus.ARCHIVED:
        raise ProductArchived(f"The product {product} is archived.", field="product_id")
