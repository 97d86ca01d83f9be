"""Ingest: receives batches from Flume's Avro sinks and answers each one once the log has it on disk."""
