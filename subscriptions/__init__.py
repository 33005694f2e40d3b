"""Who bought what, and when its periods are.

Owns: subscriptions, their items and quantities, stored periods and segments, planned changes, advisory slots.
Does not own: prices (catalog), usage (metering), what a period came to (invoicing).
Always true: the periods of a subscription tile without gap or overlap, and so do the segments of a period;
a closed period never opens again; boundaries change only under the subscription's slot, taken exclusively.
"""
