"""Log lines: JSON on standard error, filtered by level."""

from __future__ import annotations

import json
import re
import subprocess
import sys

PROGRAM = """
import sys, structlog
from avro_bridge import logging_setup
logging_setup.configure(sys.argv[1])
logger = structlog.get_logger("test")
for level in ("debug", "info", "warning", "error"):
    getattr(logger, level)("something happened", number=7, text="ü")
try:
    1 / 0
except ZeroDivisionError:
    logger.exception("it broke")
"""


def logged(level: str) -> list[dict[str, object]]:
    """Return the lines of a process: the set-up concerns the whole process."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM, level], capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_a_line_has_level_time_message_and_fields() -> None:
    first = logged("info")[0]
    assert (first["level"], first["msg"], first["number"], first["text"]) == ("info", "something happened", 7, "ü")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", str(first["ts"]))


def test_lines_below_the_level_are_left_out() -> None:
    assert [line["level"] for line in logged("warning")] == ["warning", "error", "error"]
    assert len(logged("debug")) == 5


def test_an_exception_stays_on_its_line() -> None:
    assert "ZeroDivisionError" in str(logged("error")[-1]["exception"])
