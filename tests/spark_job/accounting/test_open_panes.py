"""The instant from which panes are open is read as it was written; a damaged file is an error, not another instant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.common.durations import MICROSECOND
from headrace.common.text import EPOCH
from spark_job.accounting.open_panes import read_open_from, write_open_from
from spark_job.errors import AccountingError, AuditError

if TYPE_CHECKING:
    from pathlib import Path

instants = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
)


@given(st.lists(st.none() | instants, min_size=1, max_size=3))
def test_the_newest_instant_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, written: list[datetime | None]
) -> None:
    folder = tmp_path_factory.mktemp("job") / "audit"
    assert read_open_from(folder) is None
    for instant in written:
        open_from_us = None if instant is None else (instant - EPOCH) // MICROSECOND
        write_open_from(folder, open_from_us)
        assert read_open_from(folder) == open_from_us
    assert [path.name for path in folder.glob("*")] == ([] if written[-1] is None else ["open-from"])


def test_the_file_is_a_decimal_number(tmp_path: Path) -> None:
    write_open_from(tmp_path, -1_500_000)
    assert (tmp_path / "open-from").read_bytes() == b"-1500000\n"


@pytest.mark.parametrize("content", [b"", b"\n", b"-", b"1.5", b"1_000", b"7\n7", b"x" * 99, b"9" * 18, b"9" * 5000])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty one may be left by a loss of power; the last ones are numbers, but after the year 9999."""
    (tmp_path / "open-from").write_bytes(content)
    with pytest.raises(AccountingError, match=r"open-from: .* is not an instant .*; restart the job"):
        read_open_from(tmp_path)


def test_a_folder_in_the_way_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "open-from").mkdir()
    with pytest.raises(AccountingError, match="open-from: cannot be read: Is a directory"):
        read_open_from(tmp_path)
    for open_from_us in (None, 7):
        with pytest.raises(AuditError, match=r"option audit: .*open-from cannot be written: Is a directory"):
            write_open_from(tmp_path, open_from_us)
