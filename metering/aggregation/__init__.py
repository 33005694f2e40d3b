"""How a meter turns events into a quantity: pure arithmetic, a module for each aggregation.

An aggregation says what one event contributes; a rollup keeps the sum of the contributions and their number.
"""
