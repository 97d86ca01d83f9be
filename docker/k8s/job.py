"""The driver's program on Kubernetes: ``python -m spark_job`` as the file that spark-submit asks for."""

import sys

from spark_job.cli import main

if __name__ == "__main__":
    sys.exit(main())
