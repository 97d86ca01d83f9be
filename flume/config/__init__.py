"""The agent's configuration: values, checks, templates, rendered files."""
