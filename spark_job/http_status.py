"""HTTP status codes: which answers count as errors."""

from __future__ import annotations

from typing import Final

FIRST_ERROR_STATUS: Final = 400
"""This status code and every higher one is an error (RFC 9110, 15.5 and 15.6: the client's or the server's)."""
