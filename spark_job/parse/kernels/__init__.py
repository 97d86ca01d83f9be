"""Compiled kernels that count access-log lines."""
