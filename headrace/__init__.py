"""The command line of Headrace, and the helpers that all packages share."""
