"""The example counts the hosts of what a real bridge holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from examples.own_spark_program import main
from tests.support.bridges import RealBridge
from tests.support.spark import spark

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

__all__ = ["spark"]

LINE = '%s - - [05/Jan/2015:08:00:0%d +0000] "GET /a HTTP/1.1" %d 10 "-" "-"'


@pytest.mark.spark
def test_each_host_is_counted_and_the_next_run_goes_on(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RealBridge(tmp_path / "log") as bridge:
        arguments = [bridge.address, "--checkpoint", str(tmp_path / "checkpoint"), "--once"]
        bridge.extend([(LINE % ("192.0.2.1", second, 200)).encode() for second in range(3)])
        bridge.extend([(LINE % ("192.0.2.2", 5, 404)).encode(), b"no log line"])
        main(arguments)
        assert capsys.readouterr().out.splitlines() == [
            "micro-batch 0",
            "     3 requests    0 errors  192.0.2.1",
            "     1 requests    1 errors  192.0.2.2",
        ]
        bridge.extend([(LINE % ("192.0.2.2", 6, 200)).encode()])
        main(arguments)
    assert capsys.readouterr().out.splitlines()[-2:] == ["micro-batch 1", "     2 requests    1 errors  192.0.2.2"]
