"""The agent as a process: start, output, metrics, locks and recovery."""
