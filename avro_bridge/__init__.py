"""The bridge: an Avro RPC server that stores what Flume sends and serves it to Spark.

Stages, in the order of the data: ``wire`` (bytes to calls, no I/O), ``log`` (durable storage), ``ingest`` (the socket
server that joins the two), ``egress`` (Arrow Flight out of the log). ``contract`` is all that a consumer may import.
"""
