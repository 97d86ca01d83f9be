"""Finds Java, fetches and verifies the agent's jars, compiles our own classes."""
