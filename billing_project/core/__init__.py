"""What every app stands on.

Owns: money, currencies, periods, errors, actors, the clock, the audit trail, the outbox, number sequences,
API keys, idempotency, and the conventions of the API and the admin.
Does not own: anything that has a business meaning; it imports no app.
Always true: reading it never needs to know which app called.
"""
