"""How many requests each caller has sent lately."""

from django.db import models


class RateCounter(models.Model):
    """The requests of one caller in one minute. Kept in an UNLOGGED table: a crash forgives them."""

    id = models.BigAutoField(primary_key=True)
    caller = models.CharField(max_length=100)
    window_at = models.DateTimeField()
    request_count = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint("caller", "window_at", name="ratecounter_once")]
        indexes = [models.Index("window_at", name="ratecounter_by_age")]

    def __str__(self) -> str:
        return f"{self.caller} {self.window_at:%H:%M}"
