"""Egress: serves stored events to readers over Arrow Flight."""
