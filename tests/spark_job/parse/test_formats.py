"""LogFormat strings: the lines that they parse, and the strings that are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from spark_job.errors import OptionError
from spark_job.parse import LineParser, Reason
from tests.support.access_lines import TIME, bodies, combined, row

AT = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)


def test_vhost_combined_has_the_server_before_the_rest() -> None:
    assert row("vhost_combined", "www.example:443 " + combined())["host"] == "192.0.2.7"
    assert row("vhost_combined", combined())["error"] == Reason.NO_MATCH


def test_common_ends_where_it_ends() -> None:
    line = f'192.0.2.7 - - {TIME} "GET / HTTP/1.1" 200 5'
    assert row("common", line)["bytes"] == 5
    assert row("common", combined())["error"] == Reason.NO_MATCH


@pytest.mark.parametrize(
    ("log_format", "line", "expected"),
    [
        ('%h %t "%r" %>s', f'::1 {TIME} "GET / HTTP/1.1" 200', {"host": "::1", "time": AT, "status": 200}),
        (r"%h \"%r\" %>s", 'a "GET / HTTP/1.1" 200', {"url": "/"}),
        (r"%h\t%r\t%>s", "a\tGET / HTTP/1.1\t200", {"url": "/", "status": 200}),
        (r"%h\\%U", "a\\/x", {"host": "a", "url": "/x"}),
        ("%h|%U", "a|/x y", {"host": "a", "url": "/x y"}),
        ("%m %U%q %H %>s", "GET /x?y HTTP/2 200", {"method": "GET", "url": "/x", "protocol": "HTTP/2", "status": 200}),
        ('"%m" "%U%q"', '"GET" "/x?y"', {"method": "GET", "url": "/x"}),
        ("%U (%q)", "/x (?y)", {"url": "/x"}),
        ("%m %U", "- -", {"url": "-"}),
        ('%m "%r"', 'GET "POST / HTTP/1.1"', {"method": "POST"}),
        ("100%% %h %r", "100% a GET /x HTTP/1.1", {"host": "a", "url": "/x"}),
        ("%a %h %r", "192.0.2.1 a GET /", {"host": "a"}),
        ("%{c}a %r", "192.0.2.1 GET /", {"host": "192.0.2.1"}),
        ("%{c}h %r", "a.example GET /", {"host": "a.example"}),
        ("%h %h %r", "a b GET /", {"host": "a"}),
        ("%s %>s %r", "301 200 GET /", {"status": 200}),
        ("%>s %s %r", "200 301 GET /", {"status": 200}),
        ("%<s %r", "301 GET /", {"status": 301}),
        ("%s %r", "- GET /", {}),
        ("%O %b %r", "999 5 GET /", {"bytes": 5}),
        ("%B %r", "7 GET /", {"bytes": 7}),
        ("%I %O %r", "999 5 GET /", {"bytes": 5}),
        ("%b %r", "- GET /", {"bytes": 0}),
        ("%D %r", "1500000 GET /", {"duration": 1.5}),
        ("%T %r", "2 GET /", {"duration": 2.0}),
        ("%T %D %r", "1 1500000 GET /", {"duration": 1.5}),
        ("%{ms}T %T %r", "1500 1 GET /", {"duration": 1.5}),
        ("%{us}T %r", "1500000 GET /", {"duration": 1.5}),
        ("%{s}T %r", "- GET /", {}),
        ("%{referer}i|%{USER-agent}i|%r", "from|agent x|GET /", {"referrer": "from", "agent": "agent x"}),
        ("%!200,304{Referer}i|%r", "-|GET /", {}),
        ("%400,501{User-Agent}i|%r", "x|GET /", {"agent": "x"}),
        ('"%{X-Forwarded-For}i" %r', '"10.0.0.1, 10.0.0.2" GET /', {"url": "/"}),
        ("%{Foobar}C %{Location}o %{X}e %{y}n %r", "a b c d GET /", {"url": "/"}),
        ("%v:%p %V %A %f %k %L %P %R %X %S %^FB %r", "v:80 V 10.0.0.1 /f 0 - 123 h + 9 12 GET /", {"url": "/"}),
        ("%{remote}p %{tid}P %{x}^ti %r", "443 140 - GET /", {"url": "/"}),
        ("%u|%r", "frank zappa|GET /", {"user": "frank zappa"}),
        ("%l %u %r", '- "" GET /', {"user": ""}),
        ("%r", "GET /", {"url": "/"}),
        ('"%r"', r'"GET /\"a\" HTTP/1.1"', {"url": '/"a"'}),
        ("été %r", "été GET /", {"url": "/"}),
    ],
)  # fmt: skip
def test_a_log_format_string(log_format: str, line: str, expected: dict[str, Any]) -> None:
    parsed = row(log_format, line)
    assert "error" not in parsed
    assert {name: parsed.get(name) for name in expected} == expected
    if not expected:
        assert not {"status", "duration", "referrer"} & parsed.keys()


@pytest.mark.parametrize(
    ("log_format", "text"),
    [
        ("combind", r"no format 'combind'; .*did you mean 'combined'\?"),
        ("zzz", r"no format 'zzz'; known are common, combined, vhost_combined, nginx_json, and LogFormat strings$"),
        ("", r"no format ''"),
        ("%h %y %r", r"position 3: no directive %y"),
        ("%r %>S%x", r"position 6: nothing stands between %x"),
        ("%r %{usr-agent}x", r"position 3: no directive %\{usr-agent\}x"),
        ("%r %{User-Agent}I", r"no directive %\{User-Agent\}I; did you mean '%\{User-Agent\}i'\?"),
        ("%r %{ns}T", r"no directive %\{ns\}T; did you mean '%\{ms\}T'\?"),
        ("%r %", r"position 3: a % without a directive"),
        ("%r % h", r"position 3: a % without a directive"),
        ("%r %{x", r"position 3: a % without a directive"),
        ("%h%r", r"position 2: nothing stands between %r and the directive before it"),
        ("%U%q%H", r"position 4: nothing stands between %H"),
        ("%h %t", r"without %r or %U a line has no URL to count"),
        ("%r %{%H:%M}t", r"the year is missing"),
        ("%r %{%Y %H:%M}t", r"the month is missing"),
        ("%r %{%Y-%m %H:%M}t", r"the day is missing"),
        ("%r %{%F}t", r"the hour is missing"),
        ("%r %t %t", r"it has the day twice"),
        ("%r %{msec_frac}t", r"the year is missing"),
        ("%r %{%y-%m-%d}t", r"%\{%y-%m-%d\}t: %y: a year of two digits"),
        ("%r %{%I}t", r"%I: an hour from 1 to 12"),
        ("%r %{%Q}t", r"%Q: it is not known here"),
        ("%r %{%F %}t", r"%: it is not known here"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(log_format: str, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        LineParser(log_format)


def test_a_format_without_time_says_so_and_leaves_the_time_null() -> None:
    parser = LineParser("%h %r")
    assert not parser.has_time
    assert parser.parse(bodies("a GET /"))["time"].to_list() == [None]
    assert LineParser("common").has_time
    assert LineParser("nginx_json").has_time
