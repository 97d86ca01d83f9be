"""Compiled loops that count access-log lines."""
