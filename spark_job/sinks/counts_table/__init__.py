"""The table of URL counts, an SQLite file."""
