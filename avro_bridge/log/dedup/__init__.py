"""Deduplication: recognises events that a client sends a second time, and stores them once."""
