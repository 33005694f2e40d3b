"""What comes only with an extra of the package, and is looked up when it is used."""

from typing import Any

from django.utils.module_loading import import_string

from billing_project.core.errors import Conflict


class ExtraMissing(Conflict):
    """Something was asked for that needs an extra which is not installed."""

    code = "extra_missing"


def load_extra(path: str, *, extra: str) -> Any:
    """Return what stands at a dotted path, such as `pyarrow.parquet.ParquetFile`.

    Raises: ExtraMissing, which says what to install.
    """
    try:
        return import_string(path)
    except ImportError:
        package = path.partition(".")[0]
        raise ExtraMissing(
            f"This needs {package}: install the extra, as in `uv sync --extra {extra}`."
        ) from None
