"""Error codes that the reading kernels return, with a text for each.

The numbers are part of cached machine code, so a number never changes its meaning.
"""

from __future__ import annotations

OK = 0
TRUNCATED = 1
OVERFLOW = 2
NEGATIVE = 3
BEYOND_END = 4
TOO_MANY_ANNOUNCED = 5
BLOCK_SIZE = 6
NOT_UTF8 = 7
TRAILING = 8
MAX_EVENTS = 9
MAX_HEADERS = 10
MAX_HEADER_BYTES = 11
INDEX_MISMATCH = 12

TEXTS = {
    TRUNCATED: "the events end in the middle of a number",
    OVERFLOW: "a number takes more than 64 bits",
    NEGATIVE: "a length is negative",
    BEYOND_END: "a length reaches beyond the end",
    TOO_MANY_ANNOUNCED: "a block announces more items than its bytes can hold",
    BLOCK_SIZE: "a block's announced size does not match its items",
    NOT_UTF8: "a header's key or value is not UTF-8",
    TRAILING: "bytes follow after the last event",
    MAX_EVENTS: "the call has more events than max_events allows",
    MAX_HEADERS: "an event has more headers than max_headers allows",
    MAX_HEADER_BYTES: "an event's headers take more bytes than max_header_bytes allows",
    INDEX_MISMATCH: "the index does not belong to these events",
}
"""What each code means, for error messages."""
