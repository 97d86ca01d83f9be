"""The nearest known name is offered; a far one is not."""

from __future__ import annotations

from headrace.common.suggest import did_you_mean, nearest

KNOWN = ("failOnDataLoss", "maxEventsPerTrigger", "bridges")


def test_a_typing_error_is_found_whatever_its_case() -> None:
    assert nearest("failondatalos", KNOWN) == "failOnDataLoss"
    assert nearest("BRIDGE", KNOWN) == "bridges"


def test_a_name_that_is_like_none_is_not_forced_to_fit() -> None:
    assert nearest("zzz", KNOWN) is None
    assert did_you_mean("zzz", KNOWN) == ""
    assert did_you_mean("zzz", KNOWN, "known are a, b") == "; known are a, b"


def test_the_end_of_a_message_names_it() -> None:
    assert did_you_mean("bridge", KNOWN, "never shown") == "; did you mean 'bridges'?"


def test_nothing_is_known() -> None:
    assert nearest("a", ()) is None
