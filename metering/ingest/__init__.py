"""Ingest: events come in as JSON, and are stored with the segment they are billed in.

Owns: reading events from JSON, deciding which segment each belongs to, and writing them with their rollups.
Does not own: the periods themselves (subscriptions), reading usage (metering.queries).
Always true: one bad event never sinks its batch; no event enters a closed period; an id counts once.
"""
