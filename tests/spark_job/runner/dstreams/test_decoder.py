"""From bodies to rows: each body is a row or a dead letter, at its place."""

from __future__ import annotations

import pickle

import polars as pl

from spark_job.runner.dstreams.decoder import AccessLines, Decoder, JsonFields, TextLines, rows_of
from tests.support.access_lines import combined


def decoded(decoder: Decoder, *bodies: bytes) -> tuple[list[tuple[object, ...]], list[tuple[int, str]]]:
    """Return rows, and place and reason of what is malformed; the decoder travels first."""
    found = pickle.loads(pickle.dumps(decoder)).decode(pl.Series("body", bodies, dtype=pl.Binary))  # noqa: S301 -- our own
    assert len(found.rows) + len(found.malformed) == len(bodies)
    return [tuple(row) for row in rows_of(found.rows)], list(found.malformed.select("place", "error").iter_rows())


def test_access_lines_have_the_columns_that_were_asked_for() -> None:
    rows, malformed = decoded(
        AccessLines(("url", "status"), "combined", "path", "UTC"),
        b"nothing",
        combined("GET /a?b HTTP/1.1").encode(),
        b"",
    )
    assert rows == [("/a", 200)]
    assert malformed == [(0, "does not match the format"), (2, "empty line")]


def test_text_is_never_malformed() -> None:
    rows, malformed = decoded(TextLines(), b"a", b"\xff\x00", b"")
    assert rows == [("a",), ("\N{REPLACEMENT CHARACTER}\0",), ("",)]
    assert malformed == []


def test_json_fields_are_typed() -> None:
    decoder = JsonFields((("item", "string"), ("units", "long")))
    rows, malformed = decoded(decoder, b'{"item": "a", "units": 2, "x": []}', b'{"item": 7, "units": 2}', b"[]")
    assert rows == [("a", 2)]
    assert [place for place, _ in malformed] == [1, 2]


def test_rows_have_the_columns_as_attributes() -> None:
    (row,) = rows_of(pl.DataFrame({"url": ["/"], "status": [200]}))
    assert (row.url, row.status) == ("/", 200)
