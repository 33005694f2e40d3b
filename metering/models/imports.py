"""Imports of files: what has come of each, and how far it is."""

from django.db import models

from billing_project.core.fields import choice_constraint, enum_field, id_field


class ImportFormat(models.TextChoices):
    """What the records of a file look like."""

    JSON_LINES = "JsonLines", "JSON lines"
    CSV = "Csv", "CSV"
    PARQUET = "Parquet", "Parquet"


class EventImport(models.Model):
    """The import of one file, which goes on where it stopped when the same file is imported again.

    All records before `position` are done: so many bytes of the unpacked file, or rows of a table, and
    `line` is the number of the line there. `spans` are stretches after it that are done, too, or in part, as
    several chunks are under way at once: each as the position and the line where it begins, the same of its
    end, the number of chunks that its records were dealt into, and which of them, from 0, are done.
    Progress is stored together with the events, so the counts are exact whatever happens.
    """

    NAME_LENGTH = 255  # As long as a file's name can be.

    id = id_field()
    name = models.CharField(max_length=NAME_LENGTH)
    format = enum_field(ImportFormat)
    content_hash = models.BinaryField(max_length=32)
    size_bytes = models.BigIntegerField()
    position = models.BigIntegerField(default=0)
    line = models.BigIntegerField(default=1)
    spans = models.JSONField(default=list)
    accepted_count = models.BigIntegerField(default=0)
    duplicate_count = models.BigIntegerField(default=0)
    rejected_count = models.BigIntegerField(default=0)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["content_hash", "format"], name="eventimport_by_content")]
        constraints = [
            choice_constraint(table="eventimport", field="format", choices=ImportFormat),
            models.CheckConstraint(
                condition=models.Q(position__gte=0, line__gte=1, size_bytes__gte=0),
                name="eventimport_progress_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_finished(self) -> bool:
        """Whether every record of the file is done."""
        return self.finished_at is not None
