"""Runs ``python -m spark_job`` as a file, which spark-submit needs."""

import sys

from spark_job.cli import main

if __name__ == "__main__":
    sys.exit(main())
