"""Where results go: the results table, the console, files and databases."""
