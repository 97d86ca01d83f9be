"""Runs the agent: process, output, metrics, folder locks, recovery after a kill."""
