"""The years, months and days above a list, for tables that grow.

Django reads every row to offer only dates that have some: each visit would read the whole table. This offers
the calendar between the first row and the last, which an index finds.
"""

import calendar
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from django.db.models import Max, Min, Model
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.timezone import localtime

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.views import ChangeList  # Ships no types.


class Calendar:
    """What Django's date hierarchy asks the rows of a list, answered without reading them."""

    def __init__(self, model: type[Model], field: str, params: Mapping[str, Any]) -> None:
        self.model = model
        self.field = field
        self.params = params

    @cached_property
    def bounds(self) -> dict[str, Any]:
        """Read when the first and the last row of the table are."""
        rows = self.model._default_manager.all()
        return rows.aggregate(first=Min(self.field), last=Max(self.field))

    def aggregate(self, **_asked: object) -> dict[str, Any]:
        """Tell the first and the last instant, by which Django picks the level that it begins with."""
        return self.bounds

    def datetimes(self, _field: str, kind: str) -> list[date]:
        """List the years, the months of the chosen year, or the days of the chosen month."""
        if self.bounds["first"] is None:
            return []
        first, last = (localtime(self.bounds[name]).date() for name in ("first", "last"))
        if kind == "year":
            return [date(year, 1, 1) for year in range(first.year, last.year + 1)]
        year = self._read("year", first.year)
        if kind == "month":
            months = [date(year, month, 1) for month in range(1, 13)]
            return [month for month in months if first.replace(day=1) <= month <= last]
        month = self._read("month", first.month)
        days = [date(year, month, day) for day in range(1, calendar.monthrange(year, month)[1] + 1)]
        return [day for day in days if first <= day <= last]

    def _read(self, part: str, otherwise: int) -> int:
        """Read what is chosen; where all rows are in one year or month, that is chosen by itself."""
        return int(self.params.get(f"{self.field}__{part}", otherwise))


class CalendarChangeList(ChangeList):
    """A list with a calendar above it, if its page has a `date_hierarchy`."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows of the page; what is asked of all rows from then on is the date hierarchy's."""
        super().get_results(request)
        if self.date_hierarchy:
            self.queryset: Any = Calendar(self.model, self.date_hierarchy, self.params)
