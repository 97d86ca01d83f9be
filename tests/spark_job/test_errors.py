"""The errors of the Spark side: the printed tree is right, and OSErrors become errors of a sink."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from headrace.common.files import replacing
from spark_job import errors
from spark_job.errors import SinkError, SparkJobError, sink_errors

if TYPE_CHECKING:
    from pathlib import Path


def test_the_printed_tree_names_every_class_and_whether_to_retry() -> None:
    printed = re.findall(r"^    [├└]── (\w+) +.*?(never retry|retry) ", errors.__doc__ or "", re.MULTILINE)
    classes = {kind.__name__: kind for kind in SparkJobError.__subclasses__()}
    assert sorted(name for name, _ in printed) == sorted(classes)
    assert {name: advice == "retry" for name, advice in printed} == {name: kind.retry for name, kind in classes.items()}


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "file"
    expected = pytest.raises(SinkError, match="none/file: cannot be written: No such file or directory")
    with expected, sink_errors(path), replacing(path) as file:
        file.write(b"")


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), sink_errors(tmp_path):
        raise ZeroDivisionError
