"""Runs ``python -m headrace.jars_s3a record`` and ``fetch``."""

from __future__ import annotations

import sys

from flume.jars.cache import command_line
from headrace.jars_s3a import JARS, ensure_jars

if __name__ == "__main__":
    sys.exit(command_line(sys.argv[1:], "headrace.jars_s3a", ensure_jars, JARS.record))
