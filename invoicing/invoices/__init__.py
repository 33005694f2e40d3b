"""The life of an invoice: Draft, final, void, and the figures on it.

Owns: invoices, their lines, coverage and tax rows, and every change of them; the totals.
Does not own: what a line comes to (rating), when a period is billed (runs), what was paid (payments), rates
of tax (tax).
Always true: lines + rounding + tax = total; a number is taken last, and without gaps; a final invoice never
changes; a period has one Draft and one period-end invoice.
"""
