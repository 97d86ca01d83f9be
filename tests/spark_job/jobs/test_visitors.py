"""Which user agents declare themselves programs, and which paths are pages, as Java's regular expressions see them."""

from __future__ import annotations

import re

import pytest

from spark_job.jobs.visitors import ASSET, DECLARED_BOT

PROGRAMS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.5.0",
    "Wget/1.21",
    "python-requests/2.31",
    "Java/17.0.1",
    "Tiny Tiny RSS/1.11",
    "Feedly",
    "ia_archiver",
]
PEOPLE = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)",
    "-",
]


@pytest.mark.parametrize("agent", PROGRAMS)
def test_a_program_that_says_so(agent: str) -> None:
    assert re.search(DECLARED_BOT, agent)


@pytest.mark.parametrize("agent", PEOPLE)
def test_a_browser(agent: str) -> None:
    assert not re.search(DECLARED_BOT, agent)


@pytest.mark.parametrize(
    ("path", "asset"),
    [("/a.css", True), ("/IMG/x.JPEG", True), ("/f.woff2", True), ("/", False), ("/css", False), ("/a.js/page", False)],
)
def test_files_that_belong_to_a_page(path: str, asset: bool) -> None:  # noqa: FBT001 -- a table of cases
    assert bool(re.search(ASSET, path)) is asset
