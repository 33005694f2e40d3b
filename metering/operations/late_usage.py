"""Marks of usage that came after the end of a subscription, into a period that is closed already."""

from uuid import UUID

from django.db import transaction

from metering.models import LateUsage


@transaction.atomic
def take_late_usage(*, subscription_id: UUID) -> list[UUID]:
    """Remove the marks of a subscription and return the periods that they were on.

    The caller holds the subscription's slot exclusively: a batch that found a mark in place left it as it
    was, and its events must be stored before the mark goes.
    """
    marks = LateUsage.objects.filter(subscription_id=subscription_id)
    period_ids = list(marks.order_by("period_id").values_list("period_id", flat=True))
    marks.filter(period_id__in=period_ids).delete()
    return period_ids
