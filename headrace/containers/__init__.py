"""The commands behind ``make up`` and its like: the pipeline in containers, as seen from the machine that runs them.

Nothing but the standard library is imported here, so that a machine with Docker and Python needs no virtual environment
for it, and no Java.
"""
