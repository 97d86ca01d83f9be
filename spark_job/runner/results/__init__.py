"""The results of a job: the results table in its folder, and everything that is written from it."""
