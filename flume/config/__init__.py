"""Values, checks and templates: what an agent is started with."""
