"""The durable log: opaque payloads under dense offsets, in one LMDB environment.

The modules, from the bottom up. Each one knows only those above it in this list::

    settings, folder_lock     what an operator can set; which process may write which folder
    record                    the bytes of one stored batch
    environment               LMDB: labelled transactions, counted readers, errors
    metadata, consumers       identity, offsets and counters; the readers and how far each of them is
    dedup/                    recognising events that Flume sends a second time
      event_ids, records        ids in a payload; the newest batch of each connection
      late_copies, suspects     delayed originals; batches that may be sent again
    reader, retention         reading a range; deleting what every consumer has committed
    read_only, log            a log for reading; a log for writing
    group_commit, writer      one sync for many batches; the thread that writes
    tools/                    scan, verify and dump: reading past damage, for an operator
"""
