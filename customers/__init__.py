"""Who is billed.

Owns: customers with their billing profile, time zone, terms and tax id; test clocks.
Does not own: what a customer bought (subscriptions) or owes (invoicing).
Always true: whoever moves a customer's money holds the lock of `customers.locks`.
"""
