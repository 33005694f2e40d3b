"""Archiving: the events of old, settled periods move from the database into files, and stay verifiable.

Owns: the files and their manifests, the move itself, verifying a file, and the role that alone may remove
events.
Does not own: rollups, which stay; what usage comes to (metering.recounting).
Always true: an event is removed only once the file that holds it has been read back from the disk and found
to add up to the rollups; its id and content hash stay, so that it never counts again; each event is in the
table, or in an archive with its id kept, at every committed instant.
"""
