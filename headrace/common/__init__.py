"""Helpers that every package may use; they import none of ours."""
