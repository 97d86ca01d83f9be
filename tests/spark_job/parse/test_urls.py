"""URL rules: examples, and properties that hold for every target."""

from __future__ import annotations

import hashlib
import pickle

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.errors import OptionError
from spark_job.parse import LineParser, UrlRule
from spark_job.parse.urls import MAX_URL_CHARACTERS, shortened
from tests.support.access_lines import targets

UUID = "123e4567-e89b-12d3-A456-426614174000"


def url(rule: UrlRule, target: str) -> str:
    text = pl.select(rule.expression(pl.lit(target))).item()
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("target", "path", "full"),
    [
        ("/", "/", "/"),
        ("/a?b=c", "/a", "/a?b=c"),
        ("/a?", "/a", "/a?"),
        ("/a?b?c#d?e", "/a", "/a?b?c"),
        ("/a#b", "/a", "/a"),
        ("?a", "/", "/?a"),
        ("#a", "/", "/"),
        ("http://host.example", "/", "/"),
        ("http://host.example?a", "/", "/?a"),
        ("HTTPS://host.example:8443/a/?b", "/a/", "/a/?b"),
        ("/r?to=http://host.example/a", "/r", "/r?to=http://host.example/a"),
        ("//a//b", "//a//b", "//a//b"),
        ("/a/../b/.", "/a/../b/.", "/a/../b/."),
        ("/A/a", "/A/a", "/A/a"),
        ("/%7euser/%41%2f%2F", "/~user/A%2F%2F", "/~user/A%2F%2F"),
        ("/%2541", "/%2541", "/%2541"),
        ("/100%/%zz/%e", "/100%/%zz/%e", "/100%/%zz/%e"),
        ("/%c3%a9", "/%C3%A9", "/%C3%A9"),
        ("/a%3Fb", "/a%3Fb", "/a%3Fb"),
        ("/a?b=%7e", "/a", "/a?b=~"),
        ("/a\nb?c\nd", "/a\nb", "/a\nb?c\nd"),
        ("*", "*", "*"),
        ("-", "-", "-"),
        ("host.example:443", "host.example:443", "host.example:443"),
    ],
)
def test_a_target_becomes(target: str, path: str, full: str) -> None:
    assert url(UrlRule.PATH, target) == path
    assert url(UrlRule.FULL, target) == full


@pytest.mark.parametrize(
    ("target", "template"),
    [
        ("/users/42", "/users/{n}"),
        ("/users/42/", "/users/{n}/"),
        ("/1/2/3?4", "/{n}/{n}/{n}"),
        ("/2015/05/17/title-7", "/{n}/{n}/{n}/title-7"),
        ("//7//8", "//{n}//{n}"),
        ("/v2/a1/1a/7.html", "/v2/a1/1a/7.html"),
        (f"/{UUID}/{UUID}", "/{uuid}/{uuid}"),
        (f"/x{UUID}", f"/x{UUID}"),
        ("/objects/507f1f77bcf86cd799439011", "/objects/{hex}"),
        ("/decade/facade/deadbeef", "/decade/facade/deadbeef"),
        ("/0000000000000000", "/{n}"),
        ("/%31", "/{n}"),
        ("/٣", "/٣"),
        ("*", "*"),
    ],
)
def test_segments_that_name_one_thing_become_templates(target: str, template: str) -> None:
    assert url(UrlRule.TEMPLATE, target) == template


def test_a_long_url_is_shortened_with_a_mark_that_keeps_it_apart() -> None:
    longest = "/" + "é" * (MAX_URL_CHARACTERS - 1)
    assert url(UrlRule.PATH, longest) == longest
    one, other = url(UrlRule.PATH, longest + "x"), url(UrlRule.PATH, longest + "y")
    assert len(one) == len(other) == MAX_URL_CHARACTERS
    assert one != other
    digest = hashlib.sha256((longest + "x").encode()).hexdigest()[:32]
    assert one == f"{longest[:-33]}~{digest}"


def test_nobody_can_write_the_url_of_a_longer_one() -> None:
    one = url(UrlRule.PATH, "/" + "a" * MAX_URL_CHARACTERS)
    assert len(url(UrlRule.PATH, one)) == MAX_URL_CHARACTERS
    assert url(UrlRule.PATH, one) != one
    short = "/page~" + "0" * 32
    assert url(UrlRule.PATH, short) == short


@given(st.lists(st.text("ab", max_size=3), min_size=2, max_size=8, unique=True), st.integers(0, 2))
def test_no_two_urls_become_one(ends: list[str], more: int) -> None:
    urls = ["/" + "x" * (MAX_URL_CHARACTERS - 3 + more) + end for end in ends]
    made = [shortened(each) for each in urls]
    assert len(set(made)) == len(urls)
    assert made == pl.select(UrlRule.FULL.expression(pl.lit(pl.Series(urls)))).to_series().to_list()


@given(st.sampled_from(UrlRule), st.one_of(targets, st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_rule_makes_nothing_new_of_its_own_result(rule: UrlRule, target: str) -> None:
    once = url(UrlRule.FULL, target)
    made = url(rule, once)
    assert 0 < len(made) <= MAX_URL_CHARACTERS
    assert url(rule, made) == made


def test_an_unknown_rule_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        OptionError, match=r"no rule 'templates'; known are path, full, template; did you mean 'template'"
    ):
        LineParser("combined", url="templates")
    with pytest.raises(OptionError, match=r"no rule 'zzz'; known are path, full, template$"):
        UrlRule.of("zzz")


def test_a_rule_survives_being_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(UrlRule.FULL)) is UrlRule.FULL  # noqa: S301 -- as Spark does
