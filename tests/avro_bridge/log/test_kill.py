"""A bridge's writer killed with SIGKILL at any instant: every acknowledged offset is there, and offsets are dense."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from avro_bridge.log.tools.verify import verify
from tests.support.log_helpers import MIB

if TYPE_CHECKING:
    from pathlib import Path

# Stores batches without end, several in flight, deletes behind itself, and prints each acknowledged range. A batch's
# payload repeats the number that is printed with it. Retention deletes more batches at a time than are in flight, or a
# fast disk would fill the log.
WRITER = """
import os, pathlib, random, sys, threading
from avro_bridge.log.record import HEADER_SIZE, PayloadKind, PendingBatch
from avro_bridge.log.settings import LogSettings, WriterSettings
from avro_bridge.log.log import Log
from avro_bridge.log.writer import GroupCommitWriter

folder, life = pathlib.Path(sys.argv[1]), int(sys.argv[2])
log = Log.open(folder, LogSettings(max_bytes=64 * 2**20, retain_batches=16))
log.start_consumer("behind", "earliest")
writer = GroupCommitWriter(log, WriterSettings(retain_every_s=0.005))
in_flight = threading.Semaphore(8)
numbers = random.Random(life)

def send(number):
    size, count = numbers.choice([10, 3000, 100_000]), numbers.randint(1, 9)
    text = b"%d:%d " % (life, number)
    payload = text * (size // len(text) + 1)
    buffer = bytearray(HEADER_SIZE) + payload
    def done(place, error):
        if error is not None:
            os.write(2, str(error).encode())
            os._exit(1)
        os.write(1, b"%d %d %d:%d\\n" % (place, count, life, number))
        in_flight.release()
    writer.submit(PendingBatch(buffer, HEADER_SIZE, count, PayloadKind.LINES, 1, 1), done)

number = 0
while True:
    in_flight.acquire()
    send(number)
    number += 1
    if number % 50 == 0:
        writer.commit("behind", max(0, log.next_offset - 2000))
"""


@pytest.mark.slow
def test_no_acknowledged_event_is_lost_by_ten_kills(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    instants = random.Random(seed)  # noqa: S311 - instants, not secrets
    acknowledged: dict[int, tuple[int, str]] = {}
    for life in range(10):
        instant_s = instants.uniform(0.02, 0.5)
        lines = _run_and_kill(tmp_path, life, instant_s)
        for place, count, text in (line.split() for line in lines):
            assert int(place) not in acknowledged, f"offset {place} was given out twice (seed {seed})"
            acknowledged[int(place)] = int(count), text
        report = verify(tmp_path)
        assert report.ok, f"seed {seed}, life {life}: {report}"
        assert report.events == report.next_offset - report.first_offset
        _check(tmp_path, acknowledged, f"seed {seed}, life {life}")
    assert len(acknowledged) > 100


def _run_and_kill(folder: Path, life: int, instant_s: float) -> list[str]:
    """Run a writer for ``instant_s`` from its first answer on, kill it, and return the whole lines it printed."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(life)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        # The test varies the instant itself, so it waits for no condition.
        timer = time.monotonic() + instant_s
        lines = [first]
        while time.monotonic() < timer:
            lines.append(process.stdout.readline())
        assert process.poll() is None, "the writer has ended by itself"
        process.kill()
        lines += process.stdout.readlines()
        process.wait()
    return [line for line in lines if line.endswith("\n")]


def _check(folder: Path, acknowledged: dict[int, tuple[int, str]], about: str) -> None:
    with Log.open(folder, LogSettings(max_bytes=64 * MIB)) as log:
        kept = {place: what for place, what in acknowledged.items() if place >= log.first_offset}
        assert all(place + count <= log.next_offset for place, (count, _text) in acknowledged.items()), about
        with log.read(log.first_offset, log.next_offset) as reader:
            for batch in reader:
                if batch.first_offset in kept:
                    count, text = kept.pop(batch.first_offset)
                    assert (batch.count, bytes(batch.payload).split(b" ", 1)[0].decode()) == (count, text), about
        assert not kept, f"{about}: acknowledged and not in the log: {sorted(kept)[:10]}"
