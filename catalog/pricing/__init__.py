"""What a quantity costs, as pure arithmetic.

Owns: the pricing models, the reading and writing of their parameters, the charge with its steps. Does not
own: prices as they are stored (catalog.models), which usage a price applies to (invoicing.rating). Always
true: the same parameters, quantity and stage give the same charge, and a charge is the sum of its steps.
"""
