"""What happened.

Owns: usage events, their rollups, ingest, and reading usage by subscription, period and segment.
Does not own: what a meter is (catalog), when periods open and close (subscriptions), what usage costs
(invoicing).
Always true: an event that was answered with success is stored, once; the period it is billed in was decided
when it came, and never changes; a rollup equals what its events add up to.
"""
