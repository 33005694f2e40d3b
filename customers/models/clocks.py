"""Test clocks: a time of their own for customers made in Test mode."""

from django.db import models

from billing_project.core.fields import choice_constraint, enum_field, id_field


class ClockStatus(models.TextChoices):
    """Whether a clock stands, or is on its way to a later time."""

    READY = "Ready", "Ready"
    ADVANCING = "Advancing", "Advancing"


class TestClock(models.Model):
    """A clock that only moves when told to, and only forward; its customers live by it."""

    __test__ = False  # Its name begins like a test class; pytest must not collect it.

    id = id_field()
    name = models.CharField(max_length=200, blank=True, default="")
    now_at = models.DateTimeField()
    status = enum_field(ClockStatus, default=ClockStatus.READY)
    target_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            choice_constraint(table="testclock", field="status", choices=ClockStatus),
            models.CheckConstraint(
                condition=models.Q(status=ClockStatus.READY, target_at__isnull=True)
                | models.Q(status=ClockStatus.ADVANCING, target_at__isnull=False),
                name="testclock_has_a_target_iff_advancing",
            ),
        ]

    def __str__(self) -> str:
        return self.name or str(self.id)
