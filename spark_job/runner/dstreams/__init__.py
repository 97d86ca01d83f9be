"""The classic streaming API (DStreams) over the bridges: a direct stream, its durable ranges, and what runs a job."""
