"""The agent's output: bounded on disk, its errors quoted safely."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flume.agent.output_log import MAX_QUOTED_CHARS, OutputReader, RotatingLog

if TYPE_CHECKING:
    from pathlib import Path

OUTPUT = """\
2026-11-22T14:00:00.000Z INFO  Application: Starting
2026-11-22T14:00:00.001Z ERROR SpoolDirectorySource: FATAL: Spool Directory source spool: gave up
java.lang.IllegalStateException: File name has been re-used. Violated for /spool/a.log.COMPLETED
\tat org.apache.flume.Some.method(Some.java:1)
Caused by: java.io.IOException: no\x1b[31m more
2026-11-22T14:00:00.002Z WARN  Other: java.lang.Warning
java.lang.NotOfAnError: x
no head at all
"""


def read_all(output: bytes) -> tuple[tuple[str, ...], bytes]:
    read_end, write_end = os.pipe()
    lines: list[bytes] = []
    reader = OutputReader(os.fdopen(read_end, "rb"), lines.append)
    with os.fdopen(write_end, "wb") as writer:
        writer.write(output)
    reader.join(10)
    return reader.errors(), b"".join(lines)


def test_errors_and_their_causes_are_kept_and_the_rest_passed_on() -> None:
    errors, passed = read_all(OUTPUT.encode())
    assert passed == OUTPUT.encode()
    assert [error.split(": ")[0] for error in errors] == [
        "2026-11-22T14:00:00.001Z ERROR SpoolDirectorySource",
        "java.lang.IllegalStateException",
        "Caused by",
    ]
    assert errors[2].endswith("no\N{REPLACEMENT CHARACTER}[31m more")


def test_that_the_source_gave_up_is_known_although_many_errors_follow() -> None:
    fatal = "2026-11-22T14:00:00.001Z ERROR SpoolDirectorySource: FATAL: Spool Directory source spool: gave up"
    others = "2026-11-22T14:00:00.002Z ERROR Other: at /spool/ERROR SpoolDirectorySource: FATAL: \n" * 100
    for output, gave_up in ((f"{fatal}\n{others}", True), (others, False)):
        read_end, write_end = os.pipe()
        reader = OutputReader(os.fdopen(read_end, "rb"), lambda _line: None)
        with os.fdopen(write_end, "wb") as writer:
            writer.write(output.encode())
        reader.join(10)
        assert reader.source_gave_up is gave_up


def test_only_the_last_errors_are_kept_and_long_ones_are_cut() -> None:
    errors, _ = read_all(b"".join(b"t ERROR x: %d %s\n" % (i, b"y" * 1000) for i in range(100)))
    assert len(errors) == 20
    assert errors[-1].startswith("t ERROR x: 99")
    assert {(len(error), error[-1]) for error in errors} == {(MAX_QUOTED_CHARS, "\N{HORIZONTAL ELLIPSIS}")}
    (error,), _ = read_all(b"t ERROR x: a\x00b\x7f\xe2\x80\xae\n")
    assert error == "t ERROR x: a\ufffdb\ufffd\ufffd"


def test_a_line_without_end_does_not_grow_in_memory() -> None:
    lengths: list[int] = []
    read_end, write_end = os.pipe()
    reader = OutputReader(os.fdopen(read_end, "rb"), lambda line: lengths.append(len(line)))
    with os.fdopen(write_end, "wb") as writer:
        writer.write(b"x" * 300_000)
    reader.join(10)
    assert sum(lengths) == 300_000
    assert max(lengths) <= 64 * 1024


def test_the_log_takes_two_times_its_bound_at_most(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    log = RotatingLog(path, 100)
    for i in range(50):
        log.write(b"line %04d\n" % i)
    log.close()
    older = path.with_name("agent.log.1")
    assert {p.name for p in tmp_path.iterdir()} == {"agent.log", "agent.log.1"}
    assert path.stat().st_size <= 100
    assert older.stat().st_size <= 100
    assert (older.read_bytes() + path.read_bytes()).endswith(b"line 0048\nline 0049\n")

    again = RotatingLog(path, 100)
    again.write(b"after a restart\n")
    again.close()
    assert b"after a restart" in path.read_bytes() + older.read_bytes()
