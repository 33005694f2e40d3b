"""The same request, sent again, is answered with the same answer and changes nothing.

Owns: the records of answers, and the order of look-up, lock, work and record.
Does not own: what a request is; the API hands in a key and two functions.
Always true: a record is committed together with what its request changed, or not at all.
"""
