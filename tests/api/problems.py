"""Reading errors of the API."""

from typing import Any

MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "errors"}


def read_problem(answer: Any) -> tuple[int, str, list[tuple[str, str]]]:
    """Read an error: its status, its code, and for each field at fault its name and code; check its form."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.content
    problem = answer.json()
    assert problem.keys() == MEMBERS
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    return answer.status_code, problem["code"], [(each["field"], each["code"]) for each in problem["errors"]]
