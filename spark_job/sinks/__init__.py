"""Where counted windows go."""
