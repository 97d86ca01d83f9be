"""Helpers that every package may use; they import no other package of Headrace."""
