"""Recognises batches that a client sends a second time."""
