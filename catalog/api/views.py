"""Views of the catalogue."""

import re
from typing import Any, cast

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status as http
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.views import ApiViewSet
from billing_project.core.errors import InvalidInput
from catalog.api.filters import MeterFilters, PlanFilters, ProductFilters, SkuFilters
from catalog.api.pricing import split_params
from catalog.api.serializers import (
    COUNTING_FIELDS,
    CreateMeterInput,
    CreatePlanInput,
    CreateProductInput,
    CreateSkuInput,
    MeterSerializer,
    PlanSerializer,
    ProductSerializer,
    QuoteInput,
    QuoteSerializer,
    SkuSerializer,
    UpdateMeterInput,
    UpdatePlanInput,
    UpdateProductInput,
    UpdateSkuInput,
    VersionComparisonSerializer,
)
from catalog.api.sheets import CSV, CsvParser
from catalog.models import Meter, Plan, Product, Sku
from catalog.operations import (
    MeterChanges,
    MeterDefinition,
    PlanChanges,
    PlanTerms,
    PriceTerms,
    ProductChanges,
    SkuChanges,
    add_sku,
    create_meter,
    create_plan,
    create_product,
    import_cells,
    update_meter,
    update_plan,
    update_product,
    update_sku,
)
from catalog.queries import (
    compare_versions,
    describe_sku,
    describe_version,
    export_cells,
    get_latest_version,
    get_numbered_version,
    get_sku,
    quote_sku,
    read_plan_details,
    read_sku_details,
)

CATALOG_ACCESS = Access(
    read=Scope.CATALOG_READ, write=Scope.CATALOG_WRITE, actions={"quote": Scope.CATALOG_READ}
)


class InvalidVersion(InvalidInput):
    """Versions of a plan are numbered from 1."""

    code = "invalid_version"


class ProductViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Products: what is sold, in the words of a price list."""

    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    filterset_class = ProductFilters
    access = CATALOG_ACCESS
    input_classes = {"create": CreateProductInput, "partial_update": UpdateProductInput}

    @extend_schema(responses={201: ProductSerializer})
    def create(self, request: Request) -> Response:
        """Add a product."""
        product = create_product(**self.read_input(), at=self.at, actor=self.actor)
        return self.respond(product, status=http.HTTP_201_CREATED)

    def partial_update(self, request: Request, **_: object) -> Response:
        """Change a product; what is not named stays as it is."""
        changes = cast("ProductChanges", self.read_input())
        product = update_product(
            product_id=self.id_from_path(), changes=changes, at=self.at, actor=self.actor
        )
        return self.respond(product)


class MeterViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Meters: how usage events become a quantity."""

    queryset = Meter.objects.all()
    serializer_class = MeterSerializer
    filterset_class = MeterFilters
    access = CATALOG_ACCESS
    input_classes = {"create": CreateMeterInput, "partial_update": UpdateMeterInput}

    @extend_schema(responses={201: MeterSerializer})
    def create(self, request: Request) -> Response:
        """Make a meter."""
        given = self.read_input()
        definition = MeterDefinition.read(
            event_type=given.pop("event_type"),
            property=given.pop("property", ""),
            **_take_counting(given),
        )
        meter = create_meter(definition=definition, **given, at=self.at, actor=self.actor)
        return self.respond(meter, status=http.HTTP_201_CREATED)

    def partial_update(self, request: Request, **_: object) -> Response:
        """Change what people read on a meter, or archive it."""
        changes = cast("MeterChanges", self.read_input())
        meter = update_meter(meter_id=self.id_from_path(), changes=changes, at=self.at, actor=self.actor)
        return self.respond(meter)


class PlanViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Plans: what can be subscribed to, with what it charges."""

    queryset = Plan.objects.all()
    serializer_class = PlanSerializer
    filterset_class = PlanFilters
    access = CATALOG_ACCESS
    input_classes = {"create": CreatePlanInput, "partial_update": UpdatePlanInput}
    query_params = {"retrieve": {"version"}, "diff": {"from", "to"}}

    def list(self, request: Request) -> Response:
        """List plans, each in its latest version."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        serializer = self.get_serializer(read_plan_details(page or []), many=True)
        return self.get_paginated_response(serializer.data)

    @extend_schema(parameters=[OpenApiParameter("version", int, description="Default: the latest.")])
    def retrieve(self, request: Request, **_: object) -> Response:
        """Show a plan, in its latest version or in the one that is asked for."""
        plan_id = self.id_from_path()
        number = request.query_params.get("version")
        if number is None:
            return self.respond(describe_version(get_latest_version(plan_id)))
        version = get_numbered_version(plan_id=plan_id, number=_read_version(number, field="version"))
        return self.respond(describe_version(version))

    @extend_schema(
        parameters=[OpenApiParameter("from", int, required=True), OpenApiParameter("to", int, required=True)],
        responses={200: VersionComparisonSerializer},
    )
    @action(detail=True, methods=["get"])
    def diff(self, request: Request, **_: object) -> Response:
        """Tell in what two versions of a plan differ: its terms, its SKUs, and each part of their prices."""
        first, second = (
            _read_version(request.query_params.get(name, ""), field=name) for name in ("from", "to")
        )
        comparison = compare_versions(plan_id=self.id_from_path(), from_number=first, to_number=second)
        return self.respond(comparison, serializer_class=VersionComparisonSerializer)

    @extend_schema(responses={201: PlanSerializer})
    def create(self, request: Request) -> Response:
        """Add a plan."""
        given = self.read_input()
        described = {name: given.pop(name) for name in ("name", "description", "product_id") if name in given}
        plan = create_plan(**described, terms=PlanTerms(**given), at=self.at, actor=self.actor)
        return self._respond_with(plan, status=http.HTTP_201_CREATED)

    def partial_update(self, request: Request, **_: object) -> Response:
        """Change a plan. Other terms than those of a published version make the next version."""
        changes = cast("PlanChanges", self.read_input())
        plan = update_plan(plan_id=self.id_from_path(), changes=changes, at=self.at, actor=self.actor)
        return self._respond_with(plan)

    def _respond_with(self, plan: Plan, *, status: int = http.HTTP_200_OK) -> Response:
        return self.respond(describe_version(get_latest_version(plan.pk)), status=status)


class SkuViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """SKUs: what a plan charges for, and how much."""

    queryset = Sku.objects.all()
    serializer_class = SkuSerializer
    filterset_class = SkuFilters
    access = CATALOG_ACCESS
    input_classes = {"create": CreateSkuInput, "partial_update": UpdateSkuInput, "quote": QuoteInput}

    def list(self, request: Request) -> Response:
        """List SKUs, each with its latest price."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        serializer = self.get_serializer(read_sku_details(page or []), many=True)
        return self.get_paginated_response(serializer.data)

    def retrieve(self, request: Request, **_: object) -> Response:
        """Show a SKU with its latest price."""
        return self.respond(describe_sku(get_sku(self.id_from_path())))

    @extend_schema(responses={201: SkuSerializer})
    def create(self, request: Request) -> Response:
        """Add a SKU to a plan. If the plan's latest version is published, that makes the next."""
        params, given = split_params(self.read_input())
        sku = add_sku(
            plan_id=given.pop("plan_id"),
            name=given.pop("name"),
            meter=_take_meter(given),
            meter_code=given.pop("meter_code", ""),
            terms=PriceTerms(params=params, **given),
            at=self.at,
            actor=self.actor,
        )
        return self.respond(describe_sku(sku), status=http.HTTP_201_CREATED)

    def partial_update(self, request: Request, **_: object) -> Response:
        """Change a SKU. Other terms than those of a published version make the next version."""
        params, given = split_params(self.read_input())
        changes = cast("SkuChanges", given | {"params": params} if params else given)
        sku = update_sku(sku_id=self.id_from_path(), changes=changes, at=self.at, actor=self.actor)
        return self.respond(describe_sku(sku))

    @extend_schema(responses={(200, CSV): str})
    @action(detail=True, methods=["get"], url_path="cells.csv", parser_classes=[CsvParser])
    def cells(self, request: Request, **_: object) -> HttpResponse:
        """Write the cells of a Matrix price as a sheet; the line without values is the default."""
        return HttpResponse(export_cells(self.id_from_path()), content_type=f"{CSV}; charset=utf-8")

    @extend_schema(request={CSV: str}, responses={200: SkuSerializer})
    @cells.mapping.put
    def replace_cells(self, request: Request, **_: object) -> Response:
        """Replace all cells of a Matrix price by those of a sheet, and the default if the sheet has one."""
        body: object = request.data
        text = body if isinstance(body, str) else ""  # An empty body is not parsed.
        sku = import_cells(sku_id=self.id_from_path(), text=text, at=self.at, actor=self.actor)
        return self.respond(describe_sku(sku))

    @extend_schema(responses={200: QuoteSerializer})
    @action(detail=True, methods=["post"])
    def quote(self, request: Request, **_: object) -> Response:
        """Tell what usage would cost by the latest price, in a whole period that is over."""
        given = self.read_input()
        parts = given.get("quantities") or [{"values": (), "quantity": given["quantity"]}]
        quote = quote_sku(
            sku_id=self.id_from_path(),
            quantities=[(tuple(part["values"]), part["quantity"]) for part in parts],
        )
        return self.respond(quote, serializer_class=QuoteSerializer)


def _read_version(text: str, *, field: str) -> int:
    """Read the number of a version from the query string.

    Raises: InvalidVersion.
    """
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise InvalidVersion("The version is a whole number from 1.", field=field)
    return int(text)


def _take_meter(given: dict[str, Any]) -> MeterDefinition | None:
    """Take the definition of a meter out of a SKU's input; None if it names a meter by its code, or none.

    Raises: InvalidMeter.
    """
    if "meter_event_type" not in given:
        return None
    return MeterDefinition.read(
        event_type=given.pop("meter_event_type"),
        property=given.pop("meter_property", ""),
        property_field="meter_property",
        **_take_counting(given),
    )


def _take_counting(given: dict[str, Any]) -> dict[str, Any]:
    """Take out of an input how a meter counts."""
    return {name: given.pop(name) for name in COUNTING_FIELDS if name in given}
