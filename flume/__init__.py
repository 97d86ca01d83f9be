"""The Flume agent: templates, rendering, jars, process and metrics."""
