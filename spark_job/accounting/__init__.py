"""Accounts for every line: read, counted, malformed, late or lost."""
