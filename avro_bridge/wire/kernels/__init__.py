"""Kernels: loops over Avro bytes, compiled by numba."""
