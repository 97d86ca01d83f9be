"""Options: typed models, command lines made from them, and Spark's map of texts."""
