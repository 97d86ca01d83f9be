"""The wire protocol of Flume's Avro sink: bytes in, calls out, without sockets, clocks or logging.

Read it from the bottom: ``layers`` (deflate, TLS), ``frames``, ``handshake``, ``server``, ``events``. The compiled
loops are in ``kernels``.
"""
