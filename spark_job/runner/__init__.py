"""Runs jobs: the job folder, the query, and the way from a micro-batch to the sinks."""
