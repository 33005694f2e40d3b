"""What is asked for, and what was paid.

Owns: rating, invoices and their lines, tax, payments, bill runs, the advance of test clocks.
Does not own: prices (catalog), boundaries of periods (subscriptions), quantities (metering).
Always true: a finalised invoice never changes; lines + rounding + tax = total; numbers have no gaps;
a quantity is billed once, since each bill is the charge so far minus what was billed before.
"""
