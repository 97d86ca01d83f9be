"""Recorded conversations of real Flume clients, and ways to cut a stream of bytes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORDING = Path(__file__).parents[1] / "golden" / "flume-avro-conversations.txt"


@dataclass
class Conversation:
    """One recorded connection: (True for the client's, bytes), in order."""

    name: str
    turns: list[tuple[bool, bytes]] = field(default_factory=list)

    @property
    def from_client(self) -> list[bytes]:
        """What the client wrote."""
        return [data for is_client, data in self.turns if is_client]

    @property
    def to_client(self) -> list[bytes]:
        """What the client was answered."""
        return [data for is_client, data in self.turns if not is_client]


def recorded() -> dict[str, Conversation]:
    """Read all conversations by name: ``both``, ``none``, ``deflate``, ``err``."""
    found: dict[str, Conversation] = {}
    current = Conversation("")
    for line in _RECORDING.read_text(encoding="ascii").splitlines():
        if line.startswith("["):
            current = found.setdefault(line.strip("[]"), Conversation(line.strip("[]")))
        elif line.startswith((">", "<")):
            current.turns.append((line[0] == ">", bytes.fromhex(line[2:])))
    return found


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    """Cut between any two bytes."""
    return (data[each : each + 1] for each in range(len(data)))


def random_cuts(data: bytes, seed: int) -> Iterator[bytes]:
    """Cut at random places, the same ones for the same seed; pieces may be empty."""
    chance = random.Random(seed)  # noqa: S311 - places to cut, not secrets
    cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.randint(0, 12)))
    return (data[low:high] for low, high in zip([0, *cuts], [*cuts, len(data)], strict=True))
