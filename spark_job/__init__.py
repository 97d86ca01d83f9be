"""The Spark side: sources, parsing, windows, sinks and jobs."""
