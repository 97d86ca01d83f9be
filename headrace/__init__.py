"""The command line over the whole pipeline."""
