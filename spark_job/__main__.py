"""``python -m spark_job``: start it like this and not with ``spark-submit``.

Under ``spark-submit`` Java is the parent of Python, and a SIGTERM never reaches the code that stops the query in order.
"""

from __future__ import annotations

import sys

from spark_job.cli import main

sys.exit(main())
