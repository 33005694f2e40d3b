"""The base of every view: authentication, access, idempotency keys, strict queries and problems, in one."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework import status as http
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from billing_project.core.access.authentication import ApiKeyAuthentication, HasAccess
from billing_project.core.access.rate_limits import KeyThrottle
from billing_project.core.access.scopes import SAFE_METHODS, Access
from billing_project.core.actors import Actor
from billing_project.core.api.filters import StrictFilterBackend, check_parameters, list_filter_names
from billing_project.core.api.pagination import PAGE_PARAMS, KeysetPagination
from billing_project.core.api.parsers import StrictJsonParser
from billing_project.core.api.serializers import InputSerializer
from billing_project.core.clock import now
from billing_project.core.errors import InvalidInput
from billing_project.core.idempotency.answers import Answer, RequestKey, answer_once
from billing_project.core.models import ApiKey

REPLAYED_HEADER = "X-Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")


class InvalidIdempotencyKey(InvalidInput):
    """The header is not a key that can be kept."""

    code = "invalid_idempotency_key"


@dataclass(frozen=True, slots=True)
class Idempotency:
    """How a view keeps its answers. The fields in `forget` hold a secret: they are null for a repeat."""

    forget: frozenset[str] = frozenset()


class ApiViewSet(GenericViewSet[Any]):
    """A view of the API. A domain view adds what it is about, and each action makes one domain call.

    `access` names the scopes; without it everybody is refused. `input_classes` maps an action to its input,
    `serializer_class` is the output, and `query_params` maps an action to parameters other than filters and
    paging. `idempotency` is None where requests are idempotent by themselves.
    """

    access: ClassVar[Access | None] = None
    idempotency: ClassVar[Idempotency | None] = Idempotency()
    input_classes: ClassVar[Mapping[str, type[InputSerializer]]] = {}
    query_params: ClassVar[Mapping[str, Collection[str]]] = {}
    page_keys: ClassVar[tuple[str, ...]] = ("id",)

    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = (HasAccess,)
    throttle_classes = (KeyThrottle,)
    parser_classes = (StrictJsonParser,)
    renderer_classes = (JSONRenderer,)
    pagination_class = KeysetPagination
    filter_backends = (StrictFilterBackend,)
    lookup_field = "id"
    lookup_value_converter = "uuid"
    metadata_class = None  # OPTIONS is answered 405: the schema says what there is.

    at: datetime
    actor: Actor

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer a request; in DRF's own order, with the idempotency key between permission and action."""
        self.args = args
        self.kwargs = kwargs
        drf_request = self.initialize_request(request, *args, **kwargs)
        self.request = drf_request
        self.headers = self.default_response_headers
        try:
            self.initial(drf_request, *args, **kwargs)
            name = (drf_request.method or "").lower()
            known = name in self.http_method_names
            action = (
                getattr(self, name, self.http_method_not_allowed) if known else self.http_method_not_allowed
            )
            response = self._answer(drf_request, action)
        except Exception as error:  # noqa: BLE001 (the exception handler knows which are bugs)
            response = self.handle_exception(error)
        # The stubs know DRF's own responses only; a plain one of Django's passes through.
        self.response = self.finalize_response(drf_request, cast("Response", response), *args, **kwargs)
        return self.response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who asks, whether they may, and what the query string says; read the clock, once."""
        super().initial(request, *args, **kwargs)
        self.at = now()
        self.actor = Actor.from_request(request)
        check_parameters(request, known=self.list_parameters())

    @property
    def api_key(self) -> ApiKey:
        """Return the key that the request was sent with."""
        key = self.request.auth
        assert isinstance(key, ApiKey)
        return key

    def list_parameters(self) -> Collection[str]:
        """List the query parameters of the present action."""
        names = set(self.query_params.get(self.action or "", ()))
        if self.action == "list":
            names |= PAGE_PARAMS | set(list_filter_names(getattr(self, "filterset_class", None)))
        return names

    def filter_queryset(self, queryset: Any) -> Any:
        """Apply the filters to a list; one object is found by its id alone."""
        return super().filter_queryset(queryset) if self.action == "list" else queryset

    def prepare(self) -> None:
        """Do what must be committed before the action and may be done twice, such as closing a period.

        It runs outside of any transaction, before an unsafe action that is not answered from a record.
        Operations that are `durable`, or call the network, are called here and not in the action.
        """

    def read_input(self) -> dict[str, Any]:
        """Read the body with the input of the present action.

        Raises: rest_framework.exceptions.ValidationError.
        """
        serializer = self.input_classes[self.action or ""](
            data=self.request.data, context=self.get_serializer_context()
        )
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def respond(
        self,
        row: object,
        *,
        status: int = http.HTTP_200_OK,
        serializer_class: type[BaseSerializer[Any]] | None = None,
    ) -> Response:
        """Answer with a row."""
        output = serializer_class or self.get_serializer_class()
        return Response(output(row, context=self.get_serializer_context()).data, status=status)

    def _answer(self, request: Request, action: Callable[..., HttpResponseBase]) -> HttpResponseBase:
        """Run the action; if it changes something and the request has a key, at most once."""
        if request.method in SAFE_METHODS or self.action is None:
            return action(request, *self.args, **self.kwargs)
        key = self._read_idempotency_key(request)
        if key is None:
            self.prepare()
            return action(request, *self.args, **self.kwargs)
        responses: list[HttpResponseBase] = []

        def run() -> Answer:
            responses.append(action(request, *self.args, **self.kwargs))
            return self._keep(responses[0])

        answer = answer_once(request=key, prepare=self.prepare, run=run, at=self.at)
        if not answer.is_replayed:
            return responses[0]
        replay = HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
        replay[REPLAYED_HEADER] = "true"
        return replay

    def _read_idempotency_key(self, request: Request) -> RequestKey | None:
        """Read the key of a request; None if it has none, or the view keeps none.

        Raises: InvalidIdempotencyKey.
        """
        text = request.META.get("HTTP_IDEMPOTENCY_KEY")
        if text is None or self.idempotency is None:
            return None
        if not _KEY.match(text):
            raise InvalidIdempotencyKey(
                "An Idempotency-Key is 1 to 255 visible ASCII characters.", field="Idempotency-Key"
            )
        content = b"\n".join((request.META.get("QUERY_STRING", "").encode(), request._request.body))  # noqa: SLF001 (what DRF wraps)
        return RequestKey(
            caller=f"{self.actor.kind}:{self.actor.id}",
            method=request.method or "",
            path=request.path,
            key=text,
            fingerprint=hashlib.sha256(content).hexdigest(),
        )

    def _keep(self, response: HttpResponseBase) -> Answer:
        """Turn a response into what is kept of it."""
        assert self.idempotency is not None
        headers = {"Location": response["Location"]} if "Location" in response else {}
        if isinstance(response, Response):
            headers["Content-Type"] = response.content_type or JSONRenderer.media_type
            data = response.data
            if self.idempotency.forget:
                data = {name: None if name in self.idempotency.forget else data[name] for name in data}
            body = b"" if data is None else JSONRenderer().render(data)
        else:
            assert isinstance(response, HttpResponse), "A streamed answer cannot be kept."
            headers["Content-Type"] = response["Content-Type"]
            body = response.content
        return Answer(status=response.status_code, body=body.decode(), headers=headers)

    def id_from_path(self) -> UUID:
        """Return the id of the object that the path names."""
        value = self.kwargs[self.lookup_url_kwarg or self.lookup_field]
        assert isinstance(value, UUID)
        return value
