"""The conventions of the HTTP interface, which every endpoint keeps because its view extends `ApiViewSet`.

Owns: errors as problem documents, strict input, paging, filters, idempotency keys, request ids, the schema.
Does not own: any endpoint of a domain app; those are in the app's own `api`.
Always true: what the schema does not name is refused, and every error is a problem document.
"""
