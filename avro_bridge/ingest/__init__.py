"""The socket server that takes batches from the wire and answers once the log has them on disk."""
