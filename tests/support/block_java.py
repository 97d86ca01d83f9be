"""Headrace's block deserializer and place interceptor in one Java process, which tests give many files to."""

from __future__ import annotations

import os
import struct
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from flume.jars.cache import ensure_jars
from flume.jars.compiler import compile_sources
from tests.support.agents import java_or_skip

if TYPE_CHECKING:
    from collections.abc import Iterator

CUT_LINE_BODY_BYTES = 65_536
_SOURCES = Path(__file__).with_name("java")


@dataclass(frozen=True)
class Block:
    """One event: its headers, empty where it has none, and its body."""

    file: str
    size: str
    position: str
    length: str
    body: bytes


class BlockJava:
    """The process; see ``java/headrace/DeserializerLoop.java``."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._stdin = cast("IO[bytes]", process.stdin)
        self._stdout = cast("IO[bytes]", process.stdout)

    def cut(
        self,
        path: Path,
        block_bytes: int,
        max_line_bytes: int,
        batch: int = 1,
        *,
        rollback: int = 0,
        truncated: int = -1,
    ) -> list[Block]:
        """Return the blocks of a file.

        Args:
            path: the file.
            block_bytes: of a block, at most.
            max_line_bytes: of a line that is not cut.
            batch: blocks of one call.
            rollback: each batch with a multiple of this number is read twice; 0: none.
            truncated: the file is cut to this size once it is open; -1: it is not.

        Raises:
            ValueError: what Java said.
        """
        self._send("cut", str(path))
        self._stdin.write(struct.pack(">iiiii", block_bytes, max_line_bytes, batch, rollback, truncated))
        return self._answer()

    def name(self, folder: Path, path: Path) -> Block:
        """Return a block at the beginning of ``path`` with the place that it gets in this spool folder.

        Raises:
            ValueError: what Java said.
        """
        self._send("name", str(folder), str(path))
        return self._answer()[0]

    def _send(self, *texts: str) -> None:
        for text in texts:
            self._stdin.write(struct.pack(">i", len(text.encode())) + text.encode())

    def _answer(self) -> list[Block]:
        self._stdin.flush()
        problem = self._bytes().decode()
        (count,) = struct.unpack(">i", self._stdout.read(4))
        blocks = [self._block() for _ in range(count)]
        if problem:
            raise ValueError(problem)
        return blocks

    def _block(self) -> Block:
        file, size, position, length = (self._bytes().decode() for _ in range(4))
        return Block(file, size, position, length, self._bytes())

    def _bytes(self) -> bytes:
        (length,) = struct.unpack(">i", self._stdout.read(4))
        return self._stdout.read(length)


@contextmanager
def block_java(folder: Path) -> Iterator[BlockJava]:
    """Compile the program into ``folder`` and run it."""
    java, jars, own = java_or_skip(), ensure_jars(), folder / "loop.jar"
    compile_sources(_SOURCES, jars, own, java)
    class_path = os.pathsep.join(map(str, [*jars, own]))
    command = [str(java), "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-cp", class_path]
    with subprocess.Popen(
        [*command, "headrace.DeserializerLoop"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    ) as process:
        yield BlockJava(process)
        # Ends the program; leaving the with statement would wait for it.
        cast("IO[bytes]", process.stdin).close()


def expected_blocks(content: bytes, block_bytes: int, max_line_bytes: int) -> list[tuple[int, int, bytes]]:
    """Return position, length in the file and body of each block, by the rule and not by Java's way to it."""
    blocks, position = [], 0
    while position < len(content):
        window = content[position : position + block_bytes]
        length = len(window) if len(window) < block_bytes else window.rfind(b"\n") + 1
        body = window[:length]
        if not length:
            # A line that is longer than a block.
            length = (content.find(b"\n", position) + 1 or len(content)) - position
            kept = length if length <= max_line_bytes else min(CUT_LINE_BODY_BYTES, max_line_bytes)
            body = content[position : position + kept]
        blocks.append((position, length, body))
        position += length
    return blocks


def places(blocks: list[Block]) -> list[tuple[int, int, bytes]]:
    """Return the same of real blocks."""
    return [(int(block.position), int(block.length or len(block.body)), block.body) for block in blocks]
