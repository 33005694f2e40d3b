"""Errors that a caller can act on."""

import pytest

from billing_project.core.errors import (
    BillingError,
    Busy,
    Conflict,
    FieldError,
    InvalidInput,
    LimitReached,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    UpstreamFailed,
)


class TestBillingError:
    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (NotAuthenticated, 401, "not_authenticated"),
            (LimitReached, 402, "limit_reached"),
            (PermissionDenied, 403, "permission_denied"),
            (NotFound, 404, "not_found"),
            (Conflict, 409, "conflict"),
            (InvalidInput, 422, "invalid_input"),
            (UpstreamFailed, 502, "upstream_failed"),
            (Busy, 503, "busy"),
        ],
    )
    def test_has_one_status_and_code(self, error: type[BillingError], status: int, code: str) -> None:
        assert (error.http_status, error.code) == (status, code)

    def test_says_what_is_wrong(self) -> None:
        error = Conflict("The plan is Archived.")

        assert (str(error), error.detail, error.errors) == ("The plan is Archived.",) * 2 + ((),)

    def test_names_its_field_with_its_own_code(self) -> None:
        class UnknownCurrency(InvalidInput):
            code = "unknown_currency"

        error = UnknownCurrency("XXX is not a currency.", field="currency")

        assert error.errors == (FieldError("currency", "unknown_currency", "XXX is not a currency."),)

    def test_carries_errors_of_many_fields(self) -> None:
        errors = [FieldError("a", "x", "A."), FieldError("b", "y", "B.")]

        assert InvalidInput("Wrong.", errors=errors).errors == tuple(errors)
