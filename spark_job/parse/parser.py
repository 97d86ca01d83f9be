"""Parses access-log lines column-wise: one row for each line.

Each stage has its own module::

    bytes --decode--> text --extract--> texts of the fields --times, requests, urls--> columns of SCHEMA
          (text)           (extract, nginx_json)             on distinct texts
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from spark_job.parse.extract import Extraction, LineExtractor
from spark_job.parse.formats import NGINX_JSON, TIME_JOIN, LineFormat, line_format
from spark_job.parse.nginx_json import NAMES, TIME_PATTERNS, JsonExtractor
from spark_job.parse.requests import NO_REQUEST, split_requests
from spark_job.parse.schema import MAX_RAW_BYTES, SCHEMA, Reason, wanted_columns
from spark_job.parse.text import Distinct, decode
from spark_job.parse.times import TimePattern, check_timezone
from spark_job.parse.urls import UrlRule

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEXT_COLUMNS = ("host", "user", "referrer", "agent")
_CLEARED = SCHEMA.keys() - {"raw", "error"}


class LineParser:
    """Parses lines of one log format. It can be pickled, and keeps no state between calls.

    Args:
        log_format: a name (common, combined, vhost_combined, nginx_json) or an Apache LogFormat string.
        url: the rule that makes the column ``url``: path, full or template.
        timezone: name of the time zone of times that are logged without an offset.

    Attributes:
        rule: the URL rule.
        line_format: the description of a line; None for JSON.

    Raises:
        OptionError: an argument cannot be used.
    """

    def __init__(self, log_format: str, url: UrlRule | str = UrlRule.PATH, timezone: str = "UTC") -> None:
        self.rule = UrlRule.of(url)
        self.line_format: LineFormat | None = None
        self._timezone = check_timezone(timezone)
        self._extractor: LineExtractor | JsonExtractor
        if log_format == NGINX_JSON:
            self._extractor = JsonExtractor()
            self._roles = set(NAMES)
            self._time_patterns: tuple[TimePattern, ...] = TIME_PATTERNS
            self._seconds_scale = 1
        else:
            described = self.line_format = line_format(log_format)
            self._extractor = LineExtractor(described)
            self._roles = set(described.fields)
            self._time_patterns = () if described.time is None else (described.time,)
            self._seconds_scale = described.fields["duration"].scale if "duration" in self._roles else 1
        self._times = sorted(role for role in self._roles if role.startswith("time"))

    @property
    def has_time(self) -> bool:
        """Whether the format has the time of the request; if not, the column ``time`` is null."""
        return bool(self._times)

    def parse(
        self, bodies: pl.Series, columns: Iterable[str] | None = None, cut_length: pl.Series | None = None
    ) -> pl.DataFrame:
        """Return one row for each line, in order.

        Args:
            bodies: the lines (Binary), without their line feeds.
            columns: the wanted columns of :data:`SCHEMA`; None for all. Fewer are faster. Whether a line is malformed
                does not depend on them.
            cut_length: for each line null, or how long it is if its body is only its beginning. Such a line is not
                parsed: it is malformed. None if there is no such line.
        """
        wanted = wanted_columns(columns)
        lines = decode(bodies.rename("line"))
        if lines.len() and (lines[0] or "").endswith("\r"):
            # The first line tells that the file has CRLF line ends. A single carriage return among other lines is
            # removed later, where the line does not match.
            lines = lines.str.strip_chars_end("\r")
        is_cut = None if cut_length is None else cut_length.is_not_null()
        whole = lines if is_cut is None else lines.clone().scatter(is_cut.arg_true(), "")
        extraction = self._extractor.extract(whole, self._needed_roles(wanted))
        found, errors = self._columns(extraction, wanted)
        if is_cut is not None:
            errors = _with_cut_lines(errors, is_cut)
        if errors is not None:
            found |= _malformed_columns(errors, lines, wanted)
            rows = errors.is_not_null().arg_true()
            found = {name: column.scatter(rows, None) if name in _CLEARED else column for name, column in found.items()}
        nulls = [pl.lit(None, dtype=SCHEMA[name]).alias(name) for name in wanted if name not in found]
        return pl.DataFrame(found, height=len(lines)).with_columns(nulls).select(wanted)

    def _needed_roles(self, wanted: list[str]) -> set[str]:
        """Return the fields that make the wanted columns, and those that decide whether a line is malformed."""
        needed = {"request", "target", *self._times, *wanted}
        return needed & self._roles

    def _columns(self, extraction: Extraction, wanted: list[str]) -> tuple[dict[str, pl.Series], pl.Series | None]:
        """Return the columns of the format, and the error of each line; None if no line has one."""
        texts = extraction.texts
        found = self._request_columns(texts, wanted)
        errors = _first_error(extraction.errors, ~found.pop("is_http"), Reason.NOT_HTTP)
        if self._times:
            found["time"] = self._read_times(texts)
            errors = _first_error(errors, found["time"].is_null(), Reason.NO_SUCH_TIME)
        for name in _TEXT_COLUMNS:
            if name in texts.columns:
                found[name] = _none_for_dash(texts[name])
        if "user" in found:
            found["user"] = found["user"].replace('""', "")
        if "status" in texts.columns:
            found["status"] = texts["status"].cast(pl.Int32, strict=False)
        if "bytes" in texts.columns:
            found["bytes"] = texts["bytes"].cast(pl.Int64, strict=False).fill_null(0)
        if "duration" in texts.columns:
            units = texts["duration"].cast(pl.Float64, strict=False)
            # Divide by a column: Polars multiplies by the reciprocal of a single divisor, which makes 24.999999... us
            # of 25 us.
            found["duration"] = units / pl.Series([self._seconds_scale]).new_from_index(0, len(units))
        return found, errors

    def _read_times(self, texts: pl.DataFrame) -> pl.Series:
        one = len(self._times) == 1
        text = (
            texts[self._times[0]] if one else texts.select(pl.concat_str(self._times, separator=TIME_JOIN)).to_series()
        )

        def read(distinct: pl.Series) -> pl.DataFrame:
            times = (pattern.read(distinct, self._timezone) for pattern in self._time_patterns)
            return pl.select(pl.coalesce(*times).alias("time"))

        return Distinct.of(text).apply(read)["time"]

    def _request_columns(self, texts: pl.DataFrame, wanted: list[str]) -> dict[str, pl.Series]:
        """Return the wanted columns that come from the request, and ``is_http``: whether the line has a request."""

        def with_urls(requests: pl.DataFrame) -> pl.DataFrame:
            target = pl.col("target")
            rules = {"url": self.rule, "path": UrlRule.PATH}
            urls = [rule.expression(target).alias(name) for name, rule in rules.items() if name in wanted]
            kept = [name for name in ("method", "protocol") if name in requests.columns and name in wanted]
            return requests.select(*kept, *urls, target.is_not_null().alias("is_http"))

        if "request" in texts.columns:
            made = Distinct.of(texts["request"]).apply(lambda requests: with_urls(split_requests(requests)))
            return made.to_dict()
        made = Distinct.of(texts["target"]).apply(lambda targets: with_urls(targets.rename("target").to_frame()))
        parts: dict[str, pl.Series] = {}
        for name in {"method", "protocol"} & self._roles & set(wanted):
            parts[name] = _none_for_dash(texts[name])
        return {**made.to_dict(), **parts}


def raw_texts(lines: pl.Series) -> pl.Series:
    """Return what the column ``raw`` keeps of decoded lines, see :data:`.schema.SCHEMA`."""
    return pl.Series("raw", [_bounded(line) for line in lines], dtype=pl.String)


def _none_for_dash(texts: pl.Series) -> pl.Series:
    """Return the column with null in place of ``-``, by which the log says that there was nothing."""
    return texts.to_frame().select(pl.when(pl.first() != NO_REQUEST).then(pl.first())).to_series()


def _first_error(errors: pl.Series | None, bad: pl.Series, reason: Reason) -> pl.Series | None:
    """Return ``errors`` with ``reason`` for the bad lines that have no error yet."""
    if not bad.any():
        return errors
    this = pl.when(bad).then(pl.lit(str(reason)))
    return pl.select((this if errors is None else pl.coalesce(errors, this)).alias("error")).to_series()


def _with_cut_lines(errors: pl.Series | None, is_cut: pl.Series) -> pl.Series | None:
    """Return ``errors`` with that of cut lines, which were parsed as if they were empty."""
    this = pl.when(is_cut).then(pl.lit(str(Reason.TOO_LONG)))
    return pl.select(this.otherwise(pl.lit(None) if errors is None else errors).alias("error")).to_series()


def _malformed_columns(errors: pl.Series, lines: pl.Series, wanted: list[str]) -> dict[str, pl.Series]:
    """Return the columns ``raw`` and ``error``, if wanted."""
    found = {}
    if "error" in wanted:
        found["error"] = errors
    if "raw" in wanted:
        rows = errors.is_not_null().arg_true()
        kept = raw_texts(lines.gather(rows))
        found["raw"] = pl.Series([None], dtype=pl.String).new_from_index(0, len(lines)).scatter(rows, kept)
    return found


def _bounded(line: str | None) -> str:
    return (line or "").rstrip("\r").encode()[:MAX_RAW_BYTES].decode("utf-8", "ignore")
