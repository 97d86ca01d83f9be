"""Jobs over Structured Streaming."""
