"""Settings of the log and its writer, each with its default.

``avro_bridge/config.py`` takes the defaults of the bridge's configuration file from here, so each stands in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MIB: Final = 2**20
_MIN_SLACK_BYTES: Final = 64 * _MIB
_BYTES_PER_FILE: Final = 1024
"""Room for what is known of a file: at most some six rows of 60 bytes (``places.py``), in pages that are half full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Settings of a log. Sizes in bytes, times in seconds.

    The pages that hold batches never take more than ``max_bytes``. The file may grow beyond that by ``slack_bytes``:
    LMDB writes changed pages to new places and reuses a freed page only two commits later, so without slack a full log
    could not even delete. It may also grow by 1 KiB for each of ``max_files``: what is known of files stays when their
    lines are deleted, and must never take the room for new ones.
    """

    max_bytes: int = 8 * 2**30
    """Beyond this the log refuses batches until consumers commit."""

    slack_bytes: int | None = None
    """None: an eighth of ``max_bytes``, at least 64 MiB."""

    retain_max_age_s: float | None = None
    """Delete batches older than this even if a consumer has not read them. None: never."""

    retain_max_bytes: int | None = None
    """Delete the oldest batches beyond this size even if a consumer has not read them. None: never."""

    retain_batches: int = 256
    """How many batches one transaction deletes at most: bounds how long ingest waits for it."""

    max_files: int = 1_000_000
    """Files of which the log knows which bytes are stored; beyond it the ones that were stored longest ago are
    forgotten. One that was read in order takes some 200 bytes."""

    id_header: str = "id"
    """The header that identifies an event (UUIDInterceptor's default). Empty: never compare ids."""

    doubt_expiry_s: float = 3600.0
    """How long after it was stored a batch is still recognised when Flume sends it again."""

    doubt_max_bytes: int = 32 * _MIB
    """Memory for the event ids of batches that Flume may send again; beyond it the oldest are forgotten."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: names the field.
        """
        for name in ("max_bytes", "retain_batches", "max_files", "doubt_max_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than 0, not {getattr(self, name)}")
        for name in ("slack_bytes", "retain_max_age_s", "retain_max_bytes", "doubt_expiry_s"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, but is {value}")

    @property
    def map_bytes(self) -> int:
        """The largest size of the file, in whole MiB. It is reserved as addresses, not on the disk."""
        slack = self.slack_bytes
        if slack is None:
            slack = max(_MIN_SLACK_BYTES, self.max_bytes // 8)
        return -(-(self.max_bytes + slack + self.max_files * _BYTES_PER_FILE) // _MIB) * _MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterSettings:
    """Settings of the writer. Sizes in bytes, times in seconds."""

    max_group_bytes: int = 16 * _MIB
    """How much one transaction stores at most; a larger batch is stored alone."""

    max_queued_bytes: int = 256 * _MIB
    """Beyond this ``has_room`` is false and sockets are not read. Beyond twice this batches are refused."""

    retain_every_s: float = 1.0
    """How often, at least, the writer runs retention and expiry and stores the count of acknowledged events."""
