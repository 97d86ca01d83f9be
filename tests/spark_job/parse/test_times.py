"""Times: calendars, offsets, zones, and the pieces of Apache's time formats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given

from spark_job.errors import OptionError
from spark_job.parse import LineParser, Reason
from spark_job.parse.times import APACHE, ISO_8601, TimePattern, check_timezone
from tests.support.access_lines import apache_time, combined, moments, row


def read(text: str, pattern: str = APACHE, timezone: str = "UTC") -> datetime | None:
    moment = TimePattern(pattern).read(pl.Series([text]), timezone).item()
    assert moment is None or isinstance(moment, datetime)
    return moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("17/May/2015:10:05:03 +0000", datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)),
        ("17/May/2015:10:05:03 +0530", datetime(2015, 5, 17, 4, 35, 3, tzinfo=UTC)),
        ("17/May/2015:10:05:03 -0330", datetime(2015, 5, 17, 13, 35, 3, tzinfo=UTC)),
        ("17/May/2015:10:05:03 +0545", datetime(2015, 5, 17, 4, 20, 3, tzinfo=UTC)),
        ("17/May/2015:10:05:03 +1400", datetime(2015, 5, 16, 20, 5, 3, tzinfo=UTC)),
        ("17/May/2015:10:05:03 -0000", datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)),
        ("29/Feb/2016:00:00:00 +0000", datetime(2016, 2, 29, tzinfo=UTC)),
        ("29/Feb/2000:00:00:00 +0000", datetime(2000, 2, 29, tzinfo=UTC)),
        ("31/Dec/2016:23:59:60 +0000", datetime(2017, 1, 1, tzinfo=UTC)),
        ("01/Jan/1970:00:00:00 +0000", datetime(1970, 1, 1, tzinfo=UTC)),
        ("31/Dec/1969:23:59:59 +0000", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("01/Jan/1900:00:00:00 +0530", datetime(1899, 12, 31, 18, 30, tzinfo=UTC)),
        ("17/may/2015:10:05:03 +0000", datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)),
        ("29/Feb/2015:00:00:00 +0000", None),
        ("29/Feb/1900:00:00:00 +0000", None),
        ("31/Apr/2015:00:00:00 +0000", None),
        ("32/Jan/2015:00:00:00 +0000", None),
        ("00/Jan/2015:00:00:00 +0000", None),
        ("17/Foo/2015:10:05:03 +0000", None),
        ("17/May/1899:10:05:03 +0000", None),
        ("17/May/3000:10:05:03 +0000", None),
        ("17/May/2015:24:00:00 +0000", None),
        ("17/May/2015:10:60:03 +0000", None),
        ("17/May/2015:10:05:61 +0000", None),
        ("17/May/2015:10:05:03 +2400", None),
        ("17/May/2015:10:05:03 +0060", None),
        ("17/May/2015:10:05:03", None),
        ("17/May/15:10:05:03 +0000", None),
        ("17/May/2015:10:05:03 +0000 ", None),
        ("\u0661\u0667/May/2015:10:05:03 +0000", None),
        ("", None),
    ],
)
def test_a_time_as_apache_writes_it(text: str, moment: datetime | None) -> None:
    assert read(text) == moment


@pytest.mark.parametrize("text", ["2015-05-17T10:05:03+05:30", "2015-05-17T04:35:03Z", "2015-05-17T04:35:03+0000"])
def test_a_time_as_iso_8601_has_it(text: str) -> None:
    assert read(text, ISO_8601) == datetime(2015, 5, 17, 4, 35, 3, tzinfo=UTC)


@given(moments)
def test_every_second_with_every_offset_is_read_back(moment: datetime) -> None:
    assert read(apache_time(moment)[1:-1]) == moment


@pytest.mark.parametrize(
    ("log_format", "text", "moment"),
    [
        ("%{%Y-%m-%d %H:%M:%S}t", "2015-05-17 10:05:03", datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)),
        ("[%{%d/%b/%Y %T}t.%{msec_frac}t %{%z}t]", "[17/May/2015 10:05:03.250 +0530]",
         datetime(2015, 5, 17, 4, 35, 3, 250_000, tzinfo=UTC)),
        ("%{%F %T}t.%{usec_frac}t", "2015-05-17 10:05:03.000009", datetime(2015, 5, 17, 10, 5, 3, 9, tzinfo=UTC)),
        ("%{begin:%F %R}t", "2015-05-17 10:05", datetime(2015, 5, 17, 10, 5, tzinfo=UTC)),
        ("%{end:%a, %e %B %Y %T}t", "Sun,  7 September 2014 10:05:03", datetime(2014, 9, 7, 10, 5, 3, tzinfo=UTC)),
        ("%{%A %d %h %Y %H:%M:%S %%}t", "Sunday 07 Sep 2014 10:05:03 %", datetime(2014, 9, 7, 10, 5, 3, tzinfo=UTC)),
        ("%{%Y/%j %T}t", "2015/137 10:05:03", datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)),
        ("%{%Y/%j %T}t", "2016/366 00:00:00", datetime(2016, 12, 31, tzinfo=UTC)),
        ("%{%Y/%j %T}t", "2015/366 00:00:00", None),
        ("%{%Y/%j %T}t", "2015/000 00:00:00", None),
        ("%{sec}t", "1431857103", datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)),
        ("%{%s}t", "1431857103", datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)),
        ("%{sec}t.%{usec_frac}t", "1431857103.000009", datetime(2015, 5, 17, 10, 5, 3, 9, tzinfo=UTC)),
        ("%{msec}t", "1431857103250", datetime(2015, 5, 17, 10, 5, 3, 250_000, tzinfo=UTC)),
        ("%{usec}t", "1431857103000009", datetime(2015, 5, 17, 10, 5, 3, 9, tzinfo=UTC)),
        ("%{sec}t", "999999999999", None),
        ("%{%F %T}t", "2015-13-01 00:00:00", None),
    ],
)  # fmt: skip
def test_a_time_of_a_log_format(log_format: str, text: str, moment: datetime | None) -> None:
    parsed = row(f'%h {log_format} "%r"', f'192.0.2.7 {text} "GET / HTTP/1.1"')
    assert parsed.get("time") == moment
    assert parsed.get("error") == (None if moment else str(Reason.NO_SUCH_TIME))


@pytest.mark.parametrize(
    ("timezone", "local", "moment"),
    [
        ("Asia/Kolkata", "2015-05-17 10:05:03", datetime(2015, 5, 17, 4, 35, 3, tzinfo=UTC)),
        ("America/St_Johns", "2015-01-17 10:05:03", datetime(2015, 1, 17, 13, 35, 3, tzinfo=UTC)),
        ("Europe/Berlin", "2015-07-01 12:00:00", datetime(2015, 7, 1, 10, tzinfo=UTC)),
        ("Europe/Berlin", "2015-10-25 02:30:00", datetime(2015, 10, 25, 0, 30, tzinfo=UTC)),
        ("Europe/Berlin", "2015-03-29 02:30:00", None),
    ],
)
def test_a_time_without_offset_is_in_the_given_zone(timezone: str, local: str, moment: datetime | None) -> None:
    parsed = row('%{%F %T}t "%r"', f'{local} "GET / HTTP/1.1"', timezone=timezone)
    assert parsed.get("time") == moment


def test_a_time_with_an_offset_is_not_in_the_given_zone() -> None:
    parsed = row("combined", combined(), timezone="Asia/Kolkata")
    assert parsed["time"] == datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)


def test_times_are_whole_microseconds_in_utc() -> None:
    parsed = row('%{sec}t.%{usec_frac}t "%r"', '1.999999 "GET / HTTP/1.1"')
    assert parsed["time"] - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(seconds=2, microseconds=-1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("+05:30", "is an offset; give the name of a zone"),
        ("UTC+3", "is an offset; give the name of a zone"),
        ("%%%", "use a name of the IANA database"),
    ],
)
def test_what_is_no_zone_is_refused(name: str, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        LineParser("combined", timezone=name)


def test_zones_are_known_by_name() -> None:
    assert check_timezone("Asia/Kathmandu") == "Asia/Kathmandu"
