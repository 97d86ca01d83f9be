"""Runs the pipeline as processes of this machine: stages, their supervisor, and the commands that use it."""
