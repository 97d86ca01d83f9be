"""Checksums in the format of Hadoop: a file that differs in one byte, is short or is missing is not intact."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from spark_job.accounting.spark_checksums import files_with_sums, is_intact

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SPARKS_COMMIT = b'v1\n{"nextBatchWatermarkMs":0}'
SPARKS_SUMS = b"crc\x00\x00\x00\x02\x00\xf3*\xbf\xdd"
"""As Spark 4.3.0 wrote them."""


def sums_of(content: bytes, block: int = 512) -> bytes:
    """Return the content of the file of checksums."""
    blocks = [content[start : start + block] for start in range(0, len(content), block)]
    return b"crc\0" + struct.pack(f">I{len(blocks)}I", block, *map(zlib.crc32, blocks))


def test_what_spark_wrote_is_intact_until_it_is_harmed(tmp_path: Path) -> None:
    commit, sums = tmp_path / "0", tmp_path / ".0.crc"
    commit.write_bytes(SPARKS_COMMIT)
    sums.write_bytes(SPARKS_SUMS)
    assert is_intact(commit)
    assert sums_of(SPARKS_COMMIT) == SPARKS_SUMS
    for harmed in (b"", SPARKS_COMMIT[:-1], SPARKS_COMMIT + b" ", SPARKS_COMMIT.replace(b"0", b"1")):
        commit.write_bytes(harmed)
        assert not is_intact(commit)
    commit.write_bytes(SPARKS_COMMIT)
    for harmed in (b"", SPARKS_SUMS[:-1], b"abc" + SPARKS_SUMS[3:], b"crc\0\0\0\0\0"):
        sums.write_bytes(harmed)
        assert not is_intact(commit)
    sums.unlink()
    assert is_intact(commit), "nothing says otherwise"
    commit.unlink()
    assert not is_intact(commit)


@given(st.binary(max_size=2_000), st.data())
def test_a_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("sums") / "7.delta"
    path.write_bytes(content)
    path.with_name(".7.delta.crc").write_bytes(sums_of(content))
    assert is_intact(path)
    if content:
        place = data.draw(st.integers(0, len(content) - 1))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not is_intact(path)


def test_each_file_is_named_once_also_if_only_its_sums_are_left(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    for name in ("state/1.delta", "state/.1.delta.crc", "state/.2.delta.crc", "metadata"):
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in files_with_sums(tmp_path)]
    assert found == ["metadata", "state/1.delta", "state/2.delta"]
