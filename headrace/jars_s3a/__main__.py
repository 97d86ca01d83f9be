"""``python -m headrace.jars_s3a record`` or ``fetch``."""

from __future__ import annotations

import sys

from flume.errors import FlumeError
from headrace.jars_s3a import ensure_jars, record


def main(arguments: list[str]) -> int:
    """Do what is asked for; return the exit code."""
    try:
        match arguments:
            case ["record"]:
                sys.stderr.write(f"{record()} jars\n")
            case ["fetch"]:
                sys.stdout.write("".join(f"{jar}\n" for jar in ensure_jars(verify=True)))
            case _:
                sys.stderr.write("usage: python -m headrace.jars_s3a record|fetch\n")
                return 2
    except FlumeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
