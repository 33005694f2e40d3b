"""How a meter turns events into a quantity: pure arithmetic, a module for each aggregation.

An aggregation says what one event contributes, which state the contributions are rolled up into, and how
that state is read as a quantity. States can be merged in any order and in any parts, so batches, rebuilds and
late events come to the same value.
"""
