"""Spark's map of options: names in any case, values checked, mistakes named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.options.spark_map import OptionReader, SparkOption, existing_file, positive

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = (
    SparkOption("bridges", "where they are"),
    SparkOption("minPartitions", "how many", default="2"),
    SparkOption("tokenFile", "which file"),
    SparkOption("tls", "whether", default="true"),
    SparkOption("time", "which one", default="event", values=("event", "arrival")),
    SparkOption("format", "which one", default="combined"),
)


def reader(**options: str) -> OptionReader:
    return OptionReader(options, KNOWN)


def test_names_are_found_in_any_case_and_absent_options_have_their_default() -> None:
    options = reader(MINPARTITIONS="3", tls="FALSE", time="Arrival")
    assert options.value("minPartitions", positive) == 3
    assert not options.flag("tls")
    assert options.choice("time") == "arrival"
    assert options.optional("bridges", str) is None
    assert options.text("bridges") == ""
    assert reader().text("format") == reader(format="").text("format") == "combined"
    assert reader().choice("time") == "event"
    assert reader().flag("tls")
    assert reader().value("minPartitions", positive) == reader().optional("minPartitions", positive) == 2


def test_a_value_that_must_be_there_needs_a_declared_default() -> None:
    with pytest.raises(LookupError, match="option bridges has no default"):
        reader(bridges="a:1").value("bridges", str)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("minPartition", "unknown option 'minPartition'; did you mean 'minPartitions'?"),
        ("MINPARTITION", "unknown option 'MINPARTITION'; did you mean 'minPartitions'?"),
        ("zzz", "unknown option 'zzz'; did you mean '.*'?"),
        ("token", "option token: a token in an option shows up in plans and logs; use tokenFile"),
        ("BearerToken", "option BearerToken: .*use tokenFile"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(name: str, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        reader(**{name: "x"})


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "٣", "1" * 19])
def test_only_whole_numbers_above_0_are_positive(text: str) -> None:
    with pytest.raises(OptionError, match=f"option minPartitions='{text}': a whole number above 0"):
        reader(minPartitions=text).value("minPartitions", positive)
    assert positive(" 7 ") == 7


@pytest.mark.parametrize(("name", "text"), [("tls", "true or false"), ("time", "one of event, arrival")])
def test_other_values_are_refused_with_those_that_are_right(name: str, text: str) -> None:
    options = reader(**{name: "yes"})
    with pytest.raises(OptionError, match=f"option {name}='yes': {text}"):
        options.flag(name) if name == "tls" else options.choice(name)


def test_a_file_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(OptionError, match="no such file on this machine"):
        reader(tokenFile=str(path)).optional("tokenFile", existing_file)
    path.touch()
    assert reader(tokenFile=str(path)).optional("tokenFile", existing_file) == path
