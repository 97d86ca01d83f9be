"""The tables of options: every default can be read, and words that the parsers define are those of the parsers."""

from __future__ import annotations

import pytest

from spark_job.parse import UrlRule
from spark_job.parse.formats import NAMED, NGINX_JSON
from spark_job.source.json_options import parse_json_events_options
from spark_job.source.option_table import (
    ACCESS_LOG_OPTIONS,
    AUDIT_OPTIONS,
    FLUME_OPTIONS,
    GROUPS,
    JSON_EVENTS_OPTIONS,
    LOG_FORMATS,
    SHARED_OPTIONS,
    URL_RULES,
    default_of,
)
from spark_job.source.options import parse_access_log_options, parse_flume_options

ALL = [option for options in GROUPS.values() for option in options]
BRIDGE = {"bridges": "127.0.0.1:4142"}


def test_every_option_is_in_one_section_and_described() -> None:
    assert len({option.name.lower() for option in ALL}) == len(ALL)
    assert [option.name for option in ALL if not option.meaning or option.meaning.endswith(".")] == []
    assert tuple(GROUPS.values()) == (
        SHARED_OPTIONS,
        FLUME_OPTIONS,
        ACCESS_LOG_OPTIONS,
        JSON_EVENTS_OPTIONS,
        AUDIT_OPTIONS,
    )


def test_a_written_default_means_the_same_as_no_option() -> None:
    def with_defaults(*names: str) -> dict[str, str]:
        options = [option for name in names for option in GROUPS[name]]
        return BRIDGE | {option.name: option.default for option in options if option.default is not None}

    every, flume, access_log, json_events = list(GROUPS)[:4]
    assert parse_flume_options(with_defaults(every, flume)) == parse_flume_options(BRIDGE)
    assert parse_access_log_options(with_defaults(every, access_log)) == parse_access_log_options(BRIDGE)
    fields = {"fields": "a string"}
    assert parse_json_events_options(with_defaults(every, json_events) | fields) == parse_json_events_options(
        BRIDGE | fields
    )


def test_a_default_is_one_of_the_values() -> None:
    assert [option.name for option in ALL if option.values and option.default not in option.values] == []


def test_formats_and_url_rules_are_those_of_the_parser() -> None:
    assert set(LOG_FORMATS) == {*NAMED, NGINX_JSON}
    assert tuple(UrlRule) == URL_RULES
    assert default_of("logFormat") in LOG_FORMATS
    assert default_of("url") in URL_RULES


@pytest.mark.parametrize("name", ["bridges", "no such option"])
def test_a_default_that_is_not_declared_is_an_error(name: str) -> None:
    with pytest.raises(LookupError, match=f"'{name}'"):
        default_of(name)
