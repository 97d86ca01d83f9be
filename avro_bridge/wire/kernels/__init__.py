"""Compiled loops over Avro bytes."""
