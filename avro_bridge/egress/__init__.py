"""Arrow Flight out of the log."""
