"""Options: their types, command lines made from them, and Spark's string map."""
