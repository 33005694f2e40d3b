"""The local default: real services that come with the Python packages, so that one command runs everything.

Owns: the embedded PostgreSQL and Valkey and the folder they live in; the commands `serve` and `quickstart`.
Does not own: what the install contains (accounts, seller, keys); settings of the operator's own servers.
Always true: one process owns a data folder at a time, and nothing that it started outlives it.
"""
