"""What can be charged.

Owns: products, plans and their versions, SKUs and their prices, meters (definitions), the pricing models.
Does not own: who bought what (subscriptions), what happened (metering), what it came to (invoicing).
Always true: a published plan version and its prices never change; a meter's definition never changes.
"""
