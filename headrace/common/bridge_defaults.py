"""Defaults of the bridge that its clients rely on: its ports, and the largest frame that it takes.

The bridge's configuration has these defaults, the services in containers connect to these ports, and an agent's
configuration is refused if its batches could be larger than a frame.
"""

from __future__ import annotations

from typing import Final

AVRO_PORT: Final = 4141
"""Where Flume's Avro sinks connect."""
FLIGHT_PORT: Final = 4142
"""Where readers connect (Arrow Flight)."""
ADMIN_PORT: Final = 4143
"""Metrics, health and status over HTTP."""
FRAME_BYTES: Final = 32 * 2**20
"""Message bytes of one frame, the headers and the framing of a batch included."""
