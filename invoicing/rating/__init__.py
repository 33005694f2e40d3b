"""What the usage and the fees of a segment come to, as pure arithmetic.

Owns: the step from a quantity so far to the line that an invoice adds. Does not own: prices and their models
(catalog.pricing), which items belong on an invoice (invoicing.runs), what the lines add up to
(invoicing.invoices.totals).
Always true: a line is the charge so far minus what was billed before for its key, so any series of bills of a
segment adds up to the charge for the whole; the steps of a line add up to its charge.
"""
