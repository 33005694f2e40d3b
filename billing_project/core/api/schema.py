"""The OpenAPI schema: what each view declares, and what is true of all of them."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from billing_project.core.access.scopes import SAFE_METHODS
from billing_project.core.api.fields import STRING_OF_DIGITS
from billing_project.core.api.problems import CONTENT_TYPE

ADMIN_PREFIX = "/admin/"
_TEXT = {"type": "string"}
PROBLEM_SCHEMA = {
    "type": "object",
    "description": "What went wrong, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail", "code", "request_id", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": {"type": "string", "description": "Stable, for programs."},
        "request_id": _TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {"field": _TEXT, "code": _TEXT, "detail": _TEXT},
            },
        },
    },
}
_ALWAYS = {
    401: "No key, or not a valid one.",
    403: "The key lacks the scope.",
    422: "The request was understood, but not everything in it is valid.",
    429: "Too many requests; see Retry-After.",
    500: "Something went wrong on our side.",
    503: "Busy; the same request can be made again.",
}
_WITH_ID = {404: "There is no such object."}
_UNSAFE = {
    400: "The body is not JSON.",
    402: "A limit does not allow it.",
    404: "Something that the request names does not exist.",
    409: "The object's state does not allow it, or the first request with this key is still running.",
    411: "The body comes without its length.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    502: "A service that this depends on failed.",
}


class ApiSchema(AutoSchema):
    """Describes an `ApiViewSet`: inputs by action, problems, paging, and the headers of every request."""

    def get_operation_id(self) -> str:
        """Tell the staff's and the customers' endpoints of the same name apart."""
        name = super().get_operation_id()
        return f"admin_{name}" if self.path.startswith(ADMIN_PREFIX) else name

    def get_request_serializer(self) -> Any:
        """Find the input of the action."""
        return getattr(self.view, "input_classes", {}).get(getattr(self.view, "action", None))

    def _get_parameters(self) -> list[dict[str, Any]]:
        """Describe the parameters, headers included."""
        parameters = super()._get_parameters()
        if self.method in SAFE_METHODS:
            return parameters
        parameters.append(
            _header(
                "X-Reason",
                "Why; kept in the audit trail. ASCII, other characters percent-encoded.",
                max_length=500,
            )
        )
        if getattr(self.view, "idempotency", None) is not None:
            description = (
                "A repeat with the same key within 24 hours gets the same answer and changes nothing."
            )
            parameters.append(_header("Idempotency-Key", description, max_length=255))
        return parameters

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        """Describe the answers, problems included."""
        responses = super()._get_response_bodies(direction)
        if direction != "response" or not hasattr(self.view, "access"):
            return responses
        problems = dict(_ALWAYS)
        if "{" in self.path:
            problems |= _WITH_ID
        if self.method not in SAFE_METHODS:
            problems |= _UNSAFE
        reference = self._register_problem().ref
        for status, description in sorted(problems.items()):
            responses.setdefault(
                str(status), {"content": {CONTENT_TYPE: {"schema": reference}}, "description": description}
            )
        if self._is_list_view() and "200" in responses:
            responses["200"]["headers"] = {
                "Link": {
                    "schema": _TEXT,
                    "description": 'The next page, as `<...>; rel="next"`, if there is one.',
                }
            }
        return responses

    def _register_problem(self) -> ResolvedComponent:
        """Add the schema of a problem to the components, once."""
        component = ResolvedComponent(
            name="Problem", type=ResolvedComponent.SCHEMA, object="Problem", schema=PROBLEM_SCHEMA
        )
        self.registry.register_on_missing(component)
        return component


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """Both ways to send a key."""

    target_class = "billing_project.core.access.authentication.ApiKeyAuthentication"
    name = ["bearer", "apiKey"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        """Say that one of the two is enough."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        """Describe the two headers."""
        return [
            {"type": "http", "scheme": "bearer", "description": "An API key."},
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        ]


class NanosFieldExtension(OpenApiSerializerFieldExtension):
    """An amount: always a string on the way out; a string or an integer on the way in."""

    target_class = "billing_project.core.api.fields.NanosField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Describe the field."""
        if direction == "response":
            return dict(STRING_OF_DIGITS)
        return {"oneOf": [dict(STRING_OF_DIGITS), {"type": "integer"}]}


def _header(name: str, description: str, *, max_length: int) -> dict[str, Any]:
    """Describe an optional header."""
    return {
        "in": "header",
        "name": name,
        "description": description,
        "schema": {"type": "string", "minLength": 1, "maxLength": max_length},
    }
