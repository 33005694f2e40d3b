"""Every endpoint of the API is in its schema."""

import re
from collections.abc import Iterator, Sequence

from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator

PREFIXES = ("v1/", "admin/v1/")
CATCH_ALL = "<path:rest>"  # Answers 404 for whatever is no endpoint.
METHODS = ("get", "post", "put", "patch", "delete")


def walk_endpoints(patterns: Sequence[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Walk over the API's endpoints: each method of each path, whatever its parameters are called."""
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from walk_endpoints(pattern.url_patterns, route)
        elif route.startswith(PREFIXES) and CATCH_ALL not in route:
            path = re.sub(r"<[^>]+>", "{}", route)
            yield from (f"{method} /{path}" for method in list_methods(pattern))


def list_methods(pattern: URLPattern) -> list[str]:
    """List the methods that an endpoint takes: a viewset's by its routes, another view's by its functions."""
    actions = getattr(pattern.callback, "actions", None)
    handlers = dir(getattr(pattern.callback, "view_class", None)) if actions is None else actions
    return [method for method in METHODS if method in handlers]


def read_documented() -> set[str]:
    """Read the endpoints of the schema."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    return {
        f"{method} {re.sub(r'{[^}]+}', '{}', path)}" for path, methods in paths.items() for method in methods
    }


class TestEndpoints:
    def test_are_in_the_schema(self) -> None:
        served = set(walk_endpoints(get_resolver().url_patterns))

        assert len(served) > 3
        assert served - read_documented() == set()
