"""Jobs over JSON objects in a bucket or a folder."""
