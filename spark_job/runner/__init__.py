"""What runs a job: its folder, its query and the way from a micro-batch to the sinks."""
