"""The codes of the kernels: their numbers are in stored machine code, so they are fixed."""

from __future__ import annotations

from avro_bridge.wire.kernels import error_codes

CODES = {name: value for name, value in vars(error_codes).items() if name.isupper() and isinstance(value, int)}


def test_numbers_are_unique_and_do_not_change() -> None:
    assert CODES == {
        "OK": 0,
        "TRUNCATED": 1,
        "OVERFLOW": 2,
        "NEGATIVE": 3,
        "BEYOND_END": 4,
        "TOO_MANY_ANNOUNCED": 5,
        "BLOCK_SIZE": 6,
        "NOT_UTF8": 7,
        "TRAILING": 8,
        "MAX_EVENTS": 9,
        "MAX_HEADERS": 10,
        "MAX_HEADER_BYTES": 11,
        "INDEX_MISMATCH": 12,
    }


def test_every_error_has_a_text_and_success_has_none() -> None:
    assert set(error_codes.TEXTS) == set(CODES.values()) - {error_codes.OK}
    assert len(set(error_codes.TEXTS.values())) == len(error_codes.TEXTS)
