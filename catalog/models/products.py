"""Products: what is sold, in the words of a price list."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from billing_project.core.fields import choice_constraint, enum_field, id_field


class CatalogStatus(models.TextChoices):
    """Whether a thing of the catalogue may be used for something new."""

    ACTIVE = "Active", "Active"
    ARCHIVED = "Archived", "Archived"


class Product(models.Model):
    """Something that is sold; plans may belong to one."""

    id = id_field()
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    status = enum_field(CatalogStatus, default=CatalogStatus.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [choice_constraint(table="product", field="status", choices=CatalogStatus)]

    def __str__(self) -> str:
        return self.name
