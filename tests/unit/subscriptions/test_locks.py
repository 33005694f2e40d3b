"""The slot of a subscription."""

from collections import Counter
from uuid import UUID

from billing_project.core.ids import make_id
from subscriptions.locks import SLOT_COUNT, slot_of


class TestSlotOf:
    def test_stays_the_same_from_release_to_release(self) -> None:
        """Servers of two releases that run side by side must agree."""
        assert slot_of(UUID(int=0)) == 85
        assert slot_of(UUID("0192f0c1-7a3b-7c4d-8e5f-0123456789ab")) == 59

    def test_spreads_subscriptions_over_all_slots(self) -> None:
        counts = Counter(slot_of(make_id()) for _ in range(100 * SLOT_COUNT))

        assert set(counts) == set(range(SLOT_COUNT))
        assert max(counts.values()) < 200
