"""The durable log: opaque payloads with dense offsets in one LMDB environment.

From the bottom up; each module knows those above it in this list only::

    settings, folders         what an operator can set; who may write which folder
    record                    the bytes of one stored batch
    environment               LMDB: labelled transactions, counted readers, errors
    state, consumers          identity, counters, who has read how far
    ids, doubt_records        event ids; the newest batch of each connection
    reader, retention         reading ranges; deleting what everyone has
    view, store               a log for reading; a log for writing
    doubt, group, writer      recognising what comes again; group commit on a thread of its own
    scan, verify, dump        reading past damage: for an operator's tools
    memory                    a setting of the process's allocator, for the application to make
"""
