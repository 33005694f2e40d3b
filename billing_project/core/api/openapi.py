"""The schema, as it is served."""

from functools import cache

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer


@require_safe
def openapi(_request: HttpRequest) -> HttpResponse:
    """Answer with the schema, which is the same for everybody."""
    return HttpResponse(render_schema(), content_type="application/vnd.oai.openapi+json")


@cache
def render_schema() -> bytes:
    """Generate the schema; it takes a second, and changes with the code only."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return bytes(OpenApiJsonRenderer().render(schema))
