"""Offline tools: scan, verify and print a log."""
