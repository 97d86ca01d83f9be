"""Runs the pipeline in containers: what ``headrace up`` and its like do on the machine that calls them.

Only the standard library is imported here. So a machine with Docker and Python needs no virtual environment, and no
Java.
"""
