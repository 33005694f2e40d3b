"""What comes only with an extra."""

from decimal import Decimal

import pytest

from billing_project.core.extras import ExtraMissing, load_extra


class TestLoadExtra:
    def test_returns_what_is_installed(self) -> None:
        assert load_extra("decimal.Decimal", extra="numbers") is Decimal

    def test_says_what_to_install(self) -> None:
        with pytest.raises(ExtraMissing, match=r"This needs nowhere: .* `uv sync --extra parquet`") as caught:
            load_extra("nowhere.at.all", extra="parquet")

        assert (caught.value.code, caught.value.http_status) == ("extra_missing", 409)
