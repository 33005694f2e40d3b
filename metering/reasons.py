"""Why usage is corrected: whoever changes what a customer is charged for says so."""

from billing_project.core.errors import InvalidInput


class CorrectionReasonMissing(InvalidInput):
    """Whoever corrects usage says why."""

    code = "correction_reason_missing"


def check_reason(reason: str) -> None:
    """Ask for a reason.

    Raises: CorrectionReasonMissing.
    """
    if not reason.strip():
        raise CorrectionReasonMissing("Say why the usage is corrected.", field="reason")
