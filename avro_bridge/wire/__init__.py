"""Bytes in, calls out: the protocol of Flume's Avro sink, free of sockets, clocks and logging.

Read from the bottom: ``layers`` (deflate, TLS), ``frames``, ``handshake``, ``server``, ``events``. The compiled loops
are in ``kernels``.
"""
