"""Where results go: the counts table, the console, files and databases."""
