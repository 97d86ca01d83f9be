"""URL rules: how a request target becomes the URL that is counted.

==========  ==================================================  ======================================================
rule        ``/Shop/42/Item%7e.html?a=1#top`` becomes           for
==========  ==================================================  ======================================================
path        ``/Shop/42/Item~.html``                             counts of pages (the default)
full        ``/Shop/42/Item~.html?a=1``                         counts where the query selects the page
template    ``/Shop/{n}/Item~.html``                            counts of routes
==========  ==================================================  ======================================================

All rules take these steps, in this order:

1. Remove scheme and authority of a target in absolute form (``http://host/x`` is ``/x``: the same page via a proxy).
2. Remove the fragment. Browsers send none, and a fragment that robots send names no resource.
3. ``path`` and ``template``: remove the query.
4. Replace an empty target by ``/``.
5. Normalize percent-encoding: ``%7E`` of an unreserved character (RFC 3986, 2.3) becomes the character, hex digits
   become upper case, and everything else stays: ``%2F`` is not ``/``. A ``%`` that starts no encoding stays.
6. Shorten a URL that is longer than :data:`MAX_URL_CHARACTERS` to that length: its last 33 characters are then ``~``
   and 32 hex digits of the SHA-256 of the whole URL, so that two long URLs stay apart.

After step 5, ``template`` replaces whole path segments: numbers by ``{n}``, UUIDs by ``{uuid}``, sixteen or more hex
digits by ``{hex}``. No rule changes case, doubled slashes, dot segments or a slash at the end: to a server they may be
different pages. ``*`` (of OPTIONS), the authority of CONNECT and ``-`` (no request came) stay unchanged under every
rule.
"""

from __future__ import annotations

import string
from enum import StrEnum

import polars as pl

from headrace.common.suggest import did_you_mean
from headrace.common.text import ends_in_hash_mark, hash_mark
from spark_job.errors import OptionError

MAX_URL_CHARACTERS = 2048

_UNRESERVED = string.ascii_letters + string.digits + "-._~"
_ENCODINGS = [f"%{code:02X}" for code in range(256)]
_NORMAL = [chr(code) if chr(code) in _UNRESERVED else f"%{code:02X}" for code in range(256)]
_ABSOLUTE = r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*"
_SEGMENTS = (
    (r"/[0-9]+(/|$)", "/{n}${1}"),
    (r"/[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}(/|$)", "/{uuid}${1}"),
    (r"/[0-9A-Fa-f]{16,}(/|$)", "/{hex}${1}"),
)


class UrlRule(StrEnum):
    """How a request target becomes a URL; the table at the module's head has examples."""

    PATH = "path"
    FULL = "full"
    TEMPLATE = "template"

    @classmethod
    def of(cls, name: str) -> UrlRule:
        """Return the rule with this name.

        Raises:
            OptionError: no rule has this name; the text names the nearest one.
        """
        try:
            return cls(name)
        except ValueError:
            raise OptionError(
                f"url: no rule {name!r}; known are {', '.join(cls)}{did_you_mean(name, map(str, cls))}"
            ) from None

    def expression(self, target: pl.Expr) -> pl.Expr:
        """Return the URL that the rule makes of a request target. Costly: use distinct targets."""
        url = target.str.replace(_ABSOLUTE, "").str.replace(r"(?s)#.*$", "")
        if self is not UrlRule.FULL:
            url = url.str.replace(r"(?s)\?.*$", "")
        # An absolute form without a path may still have a query.
        url = pl.when((url == "") | url.str.starts_with("?")).then(pl.lit("/") + url).otherwise(url)
        url = url.str.replace_many(_ENCODINGS, _NORMAL, ascii_case_insensitive=True)
        if self is UrlRule.TEMPLATE:
            url = _with_templates(url)
        return url.map_batches(_shortened, return_dtype=pl.String)


def _shortened(urls: pl.Series) -> pl.Series:
    """Return the URLs with the long ones shortened."""
    places = (urls.str.len_chars() >= MAX_URL_CHARACTERS).arg_true()
    return urls.scatter(places, [shortened(url) for url in urls.gather(places)]) if len(places) else urls


def shortened(url: str) -> str:
    """Return a URL as it is counted: unchanged up to :data:`MAX_URL_CHARACTERS`, else shortened with a mark."""
    # A URL of just this length that ends in a mark was perhaps written by somebody who wants the row of a longer one.
    if len(url) < MAX_URL_CHARACTERS or (len(url) == MAX_URL_CHARACTERS and not ends_in_hash_mark(url)):
        return url
    mark = hash_mark(url)
    return url[: MAX_URL_CHARACTERS - len(mark)] + mark


def _with_templates(path: pl.Expr) -> pl.Expr:
    """Replace the path segments that identify a single thing."""
    # Matches cannot share a slash, and "/1/2" needs two matches: double every slash for the time being.
    doubled = path.str.replace_all("/", "//", literal=True)
    for pattern, template in _SEGMENTS:
        doubled = doubled.str.replace_all(pattern, template)
    return doubled.str.replace_all("//", "/", literal=True)
