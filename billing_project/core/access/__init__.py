"""Who may call the API.

Owns: scopes and the roles that are sets of them, API keys (made, found, rotated, revoked), authentication.
Does not own: what a customer may see of their own data; staff, who are Django's users and groups.
Always true: a key is stored as its hash only; a view that declares no access refuses everybody.
"""
