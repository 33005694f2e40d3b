"""Routes of the catalogue."""

from billing_project.core.api.routers import ApiRouter
from catalog.api.views import MeterViewSet, PlanViewSet, ProductViewSet, SkuViewSet

router = ApiRouter()
router.register("admin/v1/catalog/products", ProductViewSet)
router.register("admin/v1/catalog/plans", PlanViewSet)
router.register("admin/v1/catalog/skus", SkuViewSet)
router.register("admin/v1/meters", MeterViewSet)

urlpatterns = router.urls
