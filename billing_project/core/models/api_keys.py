"""API keys. The key itself is shown once and never stored."""

from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models

from billing_project.core.access.scopes import PUBLISHABLE_SCOPES, ROLE_SCOPES, Scope
from billing_project.core.actors import ActorKind
from billing_project.core.fields import choice_constraint, enum_field, id_field


class ApiKeyKind(models.TextChoices):
    """What a key can be used for."""

    SECRET = "Secret", "Secret"
    PUBLISHABLE = "Publishable", "Publishable"
    RESTRICTED = "Restricted", "Restricted"


class ApiKeyRole(models.TextChoices):
    """Which scopes a secret key has; the sets are in `access.scopes`."""

    ADMIN = "Admin", "Admin"
    FINANCE = "Finance", "Finance"
    SUPPORT = "Support", "Support"
    DEVELOPER = "Developer", "Developer"
    READ_ONLY = "ReadOnly", "Read-only"


class ApiKey(models.Model):
    """The right to call the API. Found by the SHA-256 of the key, whose 32 random bytes need no salt.

    `test_clock_id` names a clock of the customers app, which core does not know: customers made with the key
    live by it.
    """

    id = id_field()
    name = models.CharField(max_length=200)
    kind = enum_field(ApiKeyKind, default=ApiKeyKind.SECRET)
    role = models.CharField(max_length=32, choices=ApiKeyRole.choices, blank=True, default="")
    scopes: "ArrayField[Any, list[str]]" = ArrayField(
        models.CharField(max_length=64), default=list, blank=True
    )
    prefix = models.CharField(max_length=16)
    hint = models.CharField(max_length=8)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    test_clock_id = models.UUIDField(null=True, blank=True)
    replaces = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by", editable=False
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            choice_constraint(table="apikey", field="kind", choices=ApiKeyKind),
            models.CheckConstraint(
                condition=models.Q(kind=ApiKeyKind.SECRET, role__in=ApiKeyRole.values)
                | (~models.Q(kind=ApiKeyKind.SECRET) & models.Q(role="")),
                name="apikey_has_a_role_iff_secret",
            ),
            models.CheckConstraint(
                condition=models.Q(kind=ApiKeyKind.RESTRICTED) | models.Q(scopes=[]),
                name="apikey_lists_scopes_only_if_restricted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…{self.hint})"

    @property
    def actor_kind(self) -> ActorKind:
        """Return the kind of actor that a bearer of this key is."""
        return ActorKind.API_KEY

    @property
    def actor_id(self) -> str:
        """Return what identifies the key in the audit trail."""
        return str(self.id)

    @property
    def actor_label(self) -> str:
        """Return what people call the key."""
        return str(self)

    @property
    def granted_scopes(self) -> frozenset[Scope]:
        """Return the rights that the key holds."""
        match self.kind:
            case ApiKeyKind.SECRET:
                return ROLE_SCOPES[self.role]
            case ApiKeyKind.RESTRICTED:
                return frozenset(scope for scope in Scope if scope in self.scopes)
        return PUBLISHABLE_SCOPES

    def is_usable(self, *, at: datetime) -> bool:
        """Tell whether the key opens anything at that time."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)
