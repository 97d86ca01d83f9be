"""A run as processes of this machine."""
