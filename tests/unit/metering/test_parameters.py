"""Reading lists and pairs from a query string."""

import pytest
from rest_framework.serializers import ValidationError

from metering.api.parameters import MAX_ITEMS, ListParameter, NumberParameter, PairsParameter


class TestListParameter:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("model", ("model",)),
            ("model,region", ("model", "region")),
            ("region,model,region", ("region", "model")),
            (r"a\,b,c", ("a,b", "c")),
            (r"a\\,b", ("a\\", "b")),
            ("llm.completion:count", ("llm.completion:count",)),
            ("a\\", ("a\\",)),
        ],
    )
    def test_reads_names(self, text: str, names: tuple[str, ...]) -> None:
        assert ListParameter().run_validation(text) == names

    @pytest.mark.parametrize("text", ["", ",", "a,", ",a", ",".join(map(str, range(MAX_ITEMS + 1)))])
    def test_refuses(self, text: str) -> None:
        with pytest.raises(ValidationError):
            ListParameter().run_validation(text)


class TestPairsParameter:
    @pytest.mark.parametrize(
        ("text", "pairs"),
        [
            ("model:small", {"model": "small"}),
            ("model:small,region:eu", {"model": "small", "region": "eu"}),
            ("model", {"model": None}),
            ("model:", {"model": ""}),
            ("at:12:30", {"at": "12:30"}),
            (r"a\:b:c", {"a:b": "c"}),
            (r"model:a\,b\\,region", {"model": "a,b\\", "region": None}),
        ],
    )
    def test_reads_values_by_name(self, text: str, pairs: dict[str, str | None]) -> None:
        assert PairsParameter().run_validation(text) == pairs

    @pytest.mark.parametrize(
        "text", ["", ":small", "model:a,model:b", "model,", ",".join(map(str, range(101)))]
    )
    def test_refuses(self, text: str) -> None:
        with pytest.raises(ValidationError):
            PairsParameter().run_validation(text)


class TestNumberParameter:
    @pytest.mark.parametrize("text", ["1", "168", "007"])
    def test_reads_whole_numbers(self, text: str) -> None:
        assert NumberParameter(max_value=168).run_validation(text) == int(text)

    @pytest.mark.parametrize("text", ["", "0", "169", "-1", "+1", "1.0", "1e2", " 1", "1\n", "٣", "9" * 10])
    def test_refuses(self, text: str) -> None:
        with pytest.raises(ValidationError):
            NumberParameter(max_value=168).run_validation(text)
