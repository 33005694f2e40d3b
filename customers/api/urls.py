"""Routes of the customers app."""

from billing_project.core.api.routers import ApiRouter
from customers.api.views import CustomerViewSet, TestClockViewSet

router = ApiRouter()
router.register("admin/v1/customers", CustomerViewSet)
router.register("admin/v1/test-clocks", TestClockViewSet)

urlpatterns = router.urls
