"""The sinks of results: the results table, the console, files and databases."""
