"""The HTTP interface of the customers app: customers and test clocks."""
