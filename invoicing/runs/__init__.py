"""What happens when time passes: bill runs, the settling of periods, test clocks.

Owns: turning periods into invoices at the right instant, once, whatever crashes; previews of that. Does not
own: the arithmetic (rating, totals) and the life of one invoice (invoices). Always true: each step is a
transaction that can be repeated; what is due is decided by the stored periods alone.
"""
