"""What happened to each line: read, counted, malformed or late."""
