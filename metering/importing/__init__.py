"""Import: many events from a file or a long upload, a chunk at a time.

Owns: cutting a stream into records and chunks, the formats of files, how far each file has come, and the
report of what was refused.
Does not own: what becomes of an event (metering.ingest, metering.operations): an imported one is like any.
Always true: memory does not grow with the file; a chunk is stored whole, with its progress, or not at all;
importing a file again, from any point, counts nothing twice.
"""
