"""Bytes in, calls out: the protocol of Flume's Avro sink, free of sockets, clocks and logging."""
