"""Readers beside a writer that stores and deletes, in threads and in processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import BridgeError, RangeBelow
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings, WriterSettings
from avro_bridge.log.writer import GroupCommitWriter
from tests.support.log_helpers import MIB, lines, pending

if TYPE_CHECKING:
    from pathlib import Path

BATCHES = 120

BESIDE = """
import pathlib, sys
from avro_bridge.log.log import Log
from avro_bridge.log.tools.verify import verify
folder = pathlib.Path(sys.argv[1])
print("ready", flush=True)
for _line in sys.stdin:
    report = verify(folder)
    assert report.ok, report
    assert not report.structure_checked
    print(report.next_offset, flush=True)
"""


def text_of(number: int) -> bytes:
    return b"%d " % number * 10_000


def test_readers_see_whole_batches_while_the_log_grows_and_shrinks(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, slack_bytes=8 * MIB, retain_batches=3)) as log:
        log.start_consumer("spark", "earliest")
        log.start_consumer("slow", "earliest")
        finished = threading.Event()
        failures: list[BaseException] = []
        read = [0, 0]

        def follow(reader_number: int) -> None:
            offset = 0
            try:
                while offset < BATCHES:
                    with log.read(offset, log.next_offset) as reader:
                        for batch in reader:
                            assert batch.first_offset == offset
                            assert bytes(batch.payload) == text_of(offset)
                            offset = batch.end_offset
                            read[reader_number] += 1
                    log.commit(("spark", "slow")[reader_number], offset)
            except BaseException as error:  # noqa: BLE001 - it belongs to the main thread
                failures.append(error)
            finally:
                finished.set()

        threads = [threading.Thread(target=follow, args=(number,)) for number in range(2)]
        with GroupCommitWriter(log, WriterSettings(retain_every_s=0.01)) as writer:
            for each in threads:
                each.start()
            for number in range(BATCHES):
                _submit_until_stored(writer, number)
            for each in threads:
                each.join(60)
        assert failures == []
        assert read == [BATCHES, BATCHES]
        while log.retain(0).more:
            pass
        assert log.first_offset == BATCHES
    assert (tmp_path / "data.mdb").stat().st_size < BATCHES * len(text_of(1)), "pages were used again"


def _submit_until_stored(writer: GroupCommitWriter, number: int) -> None:
    """Store a batch; while the log is full (its readers are behind) send it again, as Flume does."""
    answered = threading.Event()
    errors: list[BridgeError | None] = []

    def done(_place: int | None, error: BridgeError | None) -> None:
        errors.append(error)
        answered.set()

    while True:
        writer.submit(pending(text_of(number), 1), done)
        assert answered.wait(30)
        answered.clear()
        error = errors.pop()
        if error is None:
            return
        assert error.retry, error


def test_a_reader_that_falls_behind_retention_is_told(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, retain_max_bytes=0)) as log:
        log.append([lines(1, 5000)] * 100)
        with log.read(0, 100) as reader:
            for _batch in range(10):
                next(reader)
            reader.release()
            log.retain(0)
            with pytest.raises(
                RangeBelow, match="offset 10 was deleted while it was waiting; the log now starts at 100"
            ):
                next(reader)


def test_another_process_verifies_while_this_one_writes(tmp_path: Path) -> None:
    with (
        Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log,
        subprocess.Popen(
            [sys.executable, "-c", BESIDE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as beside,
    ):
        assert beside.stdin is not None
        assert beside.stdout is not None
        assert beside.stdout.readline() == "ready\n"
        for count in range(1, 4):
            log.append([lines(1, 5000)])
            beside.stdin.write("\n")
            beside.stdin.flush()
            assert beside.stdout.readline() == f"{count}\n"
        beside.stdin.close()
        assert beside.wait(30) == 0
