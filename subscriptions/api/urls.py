"""Routes of the subscriptions app."""

from billing_project.core.api.routers import ApiRouter
from subscriptions.api.migrations import PlanMigrationViewSet
from subscriptions.api.views import SubscriptionViewSet

router = ApiRouter()
router.register("v1/subscriptions", SubscriptionViewSet)
router.register("admin/v1/catalog/plans", PlanMigrationViewSet)

urlpatterns = router.urls
