"""Operations on plan versions: the next one is begun by a change, and published by the first subscription."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.ids import make_id
from catalog.locks import lock_latest_version
from catalog.models import PlanVersion, Price
from catalog.models.plans import VERSION_FIELDS
from catalog.queries import get_plan_version


@transaction.atomic
def ensure_editable_version(*, plan_id: UUID, at: datetime, actor: Actor) -> PlanVersion:
    """Return the version of a plan that can be edited: the latest, or a copy of it if that is published.

    Raises: NotFound.
    Locks: plan, plan version.
    """
    latest = lock_latest_version(plan_id=plan_id)
    if not latest.is_published:
        return latest
    version = PlanVersion(plan=latest.plan, number=latest.number + 1)
    for name in VERSION_FIELDS:
        setattr(version, name, getattr(latest, name))
    version.save(force_insert=True)
    prices = list(Price.objects.filter(plan_version=latest))
    for price in prices:
        price.pk = make_id()
        price.plan_version = version
    Price.objects.bulk_create(prices)
    changes = audit.made(version, "plan_id", "number", *VERSION_FIELDS)
    audit.record("plan_version.created", subject=version, changes=changes, actor=actor, at=at)
    return version


@transaction.atomic
def publish_version(*, plan_version_id: UUID, at: datetime, actor: Actor) -> PlanVersion:
    """Freeze a version of a plan, since a subscription follows it from now on; a frozen one stays as it is.

    Raises: NotFound.
    Locks: plan, plan version.
    """
    version = get_plan_version(plan_version_id)
    if version.is_published:
        return version  # That cannot change any more, so it needs no lock.
    lock_latest_version(plan_id=version.plan_id)
    # Somebody else may have published it before the lock was had.
    version = get_plan_version(plan_version_id)
    if version.is_published:
        return version
    changes = audit.set_fields(version, {"published_at": at})
    version.save(update_fields=changes)
    audit.record("plan_version.published", subject=version, changes=changes, actor=actor, at=at)
    return version
