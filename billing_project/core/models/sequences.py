"""Number sequences: the last number of each series."""

from django.db import models


class NumberSequence(models.Model):
    """A series of numbers without gaps."""

    series = models.CharField(max_length=64, primary_key=True)
    last_number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.series} {self.last_number}"
