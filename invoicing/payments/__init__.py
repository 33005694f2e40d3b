"""Money that comes in.

Owns: payments, and what they make of an invoice: paid in part, Paid.
Does not own: what an invoice asks for (invoices).
Always true: the payments of an invoice add up to what it says is paid, and never to more than it asks for.
"""
