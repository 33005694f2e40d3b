"""Which rates of tax apply to the lines of an invoice.

Owns: the protocol of tax engines, the built-in engines, the choice of the seller's engine.
Does not own: the amounts of tax, which follow from the rates (invoices.totals), and the rows on the invoice
(invoices).
Always true: an engine gets a question that holds all it may know of us, and never sees or changes a row.
"""
