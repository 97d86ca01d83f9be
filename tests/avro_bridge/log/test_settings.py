"""Settings of the log and its writer."""

from __future__ import annotations

import pytest

from avro_bridge.log.settings import LogSettings
from tests.support.log_helpers import MIB


@pytest.mark.parametrize(
    ("field", "value"), [("max_bytes", 0), ("retain_batches", 0), ("slack_bytes", -1), ("doubt_expiry_s", -0.1)]
)
def test_settings_that_cannot_work_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        LogSettings(**{field: value})  # type: ignore[arg-type]  # the point of the test


def test_the_file_may_grow_beyond_the_cap_by_the_slack() -> None:
    assert LogSettings(max_bytes=10, slack_bytes=1, max_files=1).map_bytes == MIB
    assert LogSettings(max_bytes=8 * 1024 * MIB, max_files=1024).map_bytes == 9 * 1024 * MIB + MIB
    assert LogSettings(max_bytes=MIB, max_files=1024).map_bytes == 66 * MIB
