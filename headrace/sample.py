"""Writes a made-up access log that looks like a real one. The same seed gives the same bytes.

It has these properties of real logs (the shares are those of a small public web site):

- few paths get most of the hits (Zipf), static files follow their page, some paths have ids and queries;
- people, crawlers, and probes for software that is not installed; IPv4 and IPv6; sometimes HEAD and POST;
- mostly status 200, then 304, 404, 301, 206, 500;
- a line is written when its request ends and has the time of its start, so lines are some seconds out of order;
- on request, lines that are not log lines.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_START = datetime(2015, 1, 5, 8, 0, 0, tzinfo=UTC)
"""Probably older than any log that is dropped afterwards, so the newest windows on the console are that log's."""

ZIPF_EXPONENT = 1.1
BLOCK_LINES = 1000

_SECTIONS = ("articles", "blog", "docs", "products", "projects", "talks")
_WORDS = (
    "alder", "anchor", "barge", "basin", "beacon", "bridge", "canal", "channel", "current", "dam", "delta", "drift",
    "eddy", "ferry", "flood", "flume", "ford", "gate", "gauge", "harbour", "lake", "levee", "lock", "marsh", "mill",
    "mooring", "paddle", "penstock", "pier", "pond", "quay", "race", "rapids", "reed", "reservoir", "river", "sluice",
    "spillway", "spring", "stream", "tide", "turbine", "valley", "wake", "water", "weir", "wharf", "wheel",
)  # fmt: skip
_ASSETS = ("/favicon.ico", "/static/style.css", "/static/reset.css", "/static/site.js", "/images/logo.png")
_PROBES = ("/wp-login.php", "/.env", "/phpmyadmin/index.php", "/xmlrpc.php", "/admin/config.php", "/.git/config")
_PEOPLE = (
    "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/39.0.2171.95 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_10_1) AppleWebKit/600.2.5 (KHTML, like Gecko) Safari/600.2.5",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:34.0) Gecko/20100101 Firefox/34.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 8_1_2 like Mac OS X) AppleWebKit/600.1.4 (KHTML, like Gecko) Mobile/12B440",
    "Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0) like Gecko",
)
_CRAWLERS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/",
)
_REFERRERS = ("-", "-", "-", "https://www.google.com/", "http://www.example.com/", "https://news.example.org/item?id=7")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_GARBAGE = (
    b'203.0.113.9 - - [05/Jan/2015:08:00:00 +0000] "GET /cut-in-ha',
    b"PRI * HTTP/2.0",
    b'203.0.113.7 - - [32/Jan/2015:25:61:00 +0000] "GET / HTTP/1.1" 200 17 "-" "-"',
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)


@dataclass(frozen=True)
class SampleSettings:
    """The properties of a sample.

    Attributes:
        lines: number of lines.
        seed: the same seed gives the same bytes.
        start: time of the first request.
        rate: requests per second.
        disorder_s: seconds that lines may be out of order.
        malformed: number of the lines that are not log lines.
    """

    lines: int = 20_000
    seed: int = 1
    start: datetime = DEFAULT_START
    rate: float = 10.0
    disorder_s: float = 5.0
    malformed: int = 0


class _Site:
    """The fixed part of a sample: its paths and its hosts."""

    def __init__(self, rng: random.Random) -> None:
        pages = ["/", *(f"/{section}/" for section in _SECTIONS)]
        pages += [f"/{rng.choice(_SECTIONS)}/{a}-{b}" for a in _WORDS[:24] for b in rng.sample(_WORDS, 6)]
        self.paths = [*_ASSETS, "/robots.txt", "/feed.xml", *pages]
        # A browser fetches the assets with each page, so they come first; the order is the rank.
        self.weights = list(accumulate(1 / (rank**ZIPF_EXPONENT) for rank in range(1, len(self.paths) + 1)))
        self.hosts = [f"198.51.{rng.randrange(256)}.{rng.randrange(1, 255)}" for _ in range(400)]
        self.hosts += [f"2001:db8:{rng.randrange(65536):x}::{rng.randrange(1, 65536):x}" for _ in range(60)]
        self.host_weights = list(accumulate(1 / (rank**0.6) for rank in range(1, len(self.hosts) + 1)))
        self.sizes = {path: rng.randrange(200, 60_000) for path in self.paths}


def sample_lines(settings: SampleSettings) -> Iterator[bytes]:
    """Yield the lines of a sample, each with its newline."""
    rng = random.Random(settings.seed)  # noqa: S311 - a sample must be repeatable, not secret
    site = _Site(rng)
    bad = set(rng.sample(range(settings.lines), min(settings.malformed, settings.lines)))
    requests = _requests(rng, site, settings)
    for number in range(settings.lines):
        yield (rng.choice(_GARBAGE) if number in bad else next(requests)) + b"\n"


def _requests(rng: random.Random, site: _Site, settings: SampleSettings) -> Iterator[bytes]:
    """Yield log lines without end, in the order in which their requests end."""
    ended = settings.start
    while True:
        hosts = rng.choices(site.hosts, cum_weights=site.host_weights, k=BLOCK_LINES)
        paths = rng.choices(site.paths, cum_weights=site.weights, k=BLOCK_LINES)
        for host, path in zip(hosts, paths, strict=True):
            ended += timedelta(seconds=rng.expovariate(settings.rate))
            # The square makes most requests short and a few as long as the whole disorder.
            began = max(settings.start, ended - timedelta(seconds=settings.disorder_s * rng.random() ** 2))
            yield _line(rng, site, began, host, path)


def _line(rng: random.Random, site: _Site, time: datetime, host: str, path: str) -> bytes:
    """Return one line in Apache's combined format."""
    size = site.sizes[path]
    method, status, agent, referrer = "GET", _status(rng), rng.choice(_PEOPLE), rng.choice(_REFERRERS)
    kind = rng.random()
    if kind < 0.02:
        path, status, agent, size = rng.choice(_PROBES), 404, "-", 209
    elif kind < 0.07:
        path = f"/api/items/{rng.randrange(1, 5000)}"
        method = "POST" if kind < 0.03 else "GET"
    elif kind < 0.11:
        path = f"/search?q={rng.choice(_WORDS)}&page={rng.randrange(1, 9)}"
    elif kind < 0.27:
        agent, referrer = rng.choice(_CRAWLERS), "-"
        method = "HEAD" if kind < 0.12 else "GET"
    sent = "-" if status == 304 or method == "HEAD" else str(291 if status >= 400 else size)
    stamp = f"{time.day:02d}/{_MONTHS[time.month - 1]}/{time.year}:{time:%H:%M:%S} {time:%z}"
    return f'{host} - - [{stamp}] "{method} {path} HTTP/1.1" {status} {sent} "{referrer}" "{agent}"'.encode()


def _status(rng: random.Random) -> int:
    chance = rng.random()
    if chance < 0.90:
        return 200
    steps = ((0.945, 304), (0.968, 404), (0.985, 301), (0.993, 206), (0.997, 403), (1.0, 500))
    return next(status for bound, status in steps if chance <= bound)
