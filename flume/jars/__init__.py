"""Java and the jars of the agent: fetched once, verified at every start."""
