"""Spark's map of options: names in any case, values checked, mistakes named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.options.spark_map import OptionReader, existing_file, positive

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = ("bridges", "minPartitions", "tokenFile", "tls", "time")


def reader(**options: str) -> OptionReader:
    return OptionReader(options, KNOWN)


def test_names_are_found_in_any_case_and_absent_options_have_their_default() -> None:
    options = reader(MINPARTITIONS="3", tls="TRUE", time="Arrival")
    assert options.value("minPartitions", positive) == 3
    assert options.flag("tls", default=False)
    assert options.choice("time", ("event", "arrival")) == "arrival"
    assert options.value("bridges", str) is None
    assert options.text("bridges", "none") == "none"
    assert reader().choice("time", ("event", "arrival")) == "event"
    assert reader().flag("tls", default=True)


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
        options.flag(name, default=True) if name == "tls" else options.choice(name, ("event", "arrival"))


def test_a_file_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(OptionError, match="no such file on this machine"):
        reader(tokenFile=str(path)).value("tokenFile", existing_file)
    path.touch()
    assert reader(tokenFile=str(path)).value("tokenFile", existing_file) == path
