"""Fixtures: a log whose writes can fail, and a writer with small groups, a small queue and no timed upkeep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from avro_bridge.log.settings import LogSettings, WriterSettings
from avro_bridge.log.writer import GroupCommitWriter
from tests.support.log_helpers import MIB, Answers, FaultyEnvironment
from tests.support.log_writer import RecordingLog, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from avro_bridge.log.log import Log

NEVER_S = 3600.0


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with RecordingLog.open(tmp_path / "log", LogSettings(max_bytes=4 * MIB), FaultyEnvironment) as opened:
        yield opened


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def writer(log: Log, watch: Watch) -> Iterator[GroupCommitWriter]:
    settings = WriterSettings(max_group_bytes=100_000, max_queued_bytes=200_000, retain_every_s=NEVER_S)
    with GroupCommitWriter(log, settings, watch.hooks(), clock_us=lambda: 1_000_000) as made:
        yield made
