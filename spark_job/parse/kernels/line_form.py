"""The line formats that the kernels know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_job.parse.formats import line_format

if TYPE_CHECKING:
    from spark_job.parse.formats import LineFormat


@dataclass(frozen=True)
class LineForm:
    """How the lines of a format that the kernels know are built around the common part.

    Attributes:
        server: whether server and port come first.
        headers: whether referrer and user agent come last.
        may_go_on: whether a blank and more text may follow.
    """

    server: bool
    headers: bool
    may_go_on: bool

    @classmethod
    def of(cls, described: LineFormat | None) -> LineForm | None:
        """Return the form of a format; None for one that the kernels do not know."""
        for name, server, headers in (
            ("common", False, False),
            ("combined", False, True),
            ("vhost_combined", True, True),
        ):
            if described is not None and described.elements == line_format(name).elements:
                return cls(server, headers, described.may_go_on)
        return None
