"""Operations on products."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from catalog.locks import lock_product
from catalog.models import CatalogStatus, Product


class ProductChanges(TypedDict, total=False):
    """What can be changed on a product; a key that is missing stays as it is."""

    name: str
    description: str
    tags: Sequence[str]
    status: CatalogStatus


@transaction.atomic
def create_product(
    *, name: str, description: str = "", tags: Sequence[str] = (), at: datetime, actor: Actor
) -> Product:
    """Add a product to the catalogue."""
    product = Product(name=name, description=description, tags=list(tags))
    product.save(force_insert=True)
    changes = audit.made(product, "name", "description", "tags", "status")
    audit.record("product.created", subject=product, changes=changes, actor=actor, at=at)
    return product


@transaction.atomic
def update_product(*, product_id: UUID, changes: ProductChanges, at: datetime, actor: Actor) -> Product:
    """Change a product. Archiving it leaves its plans as they are, and takes no new ones.

    Raises: NotFound.
    Locks: product.
    """
    product = lock_product(product_id)
    changed = audit.set_fields(product, changes)
    if changed:
        product.save(update_fields=changed)
        audit.record("product.updated", subject=product, changes=changed, actor=actor, at=at)
    return product
