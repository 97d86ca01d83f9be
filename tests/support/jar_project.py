"""A small set of jars with its own mirror, in place of the agent's: two jars and one Java source."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

from flume.jars import cache

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <properties><one.version>1.0</one.version></properties>
  <dependencies>
    <dependency><groupId>org.example</groupId><artifactId>one</artifactId><version>${one.version}</version></dependency>
    <dependency><groupId>org.example.sub</groupId><artifactId>two</artifactId><version>2.0</version></dependency>
  </dependencies>
</project>
"""
SOURCE = "package own; public class Own { public static String name() { return org.example.One.class.getName(); } }\n"

# `package org.example; public class One {}` as a class file of version 50: a constant pool of four, no members.
ONE_CLASS = bytes.fromhex(
    "cafebabe 0000 0032 0005 07 0002 01 000f 6f72672f6578616d706c652f4f6e65"
    "07 0004 01 0010 6a6176612f6c616e672f4f626a656374"
    "0021 0001 0003 0000 0000 0000 0000"
)


class JarProject:
    """A mirror in a folder, a POM, a record of checksums and a source; the cache is in the folder too."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.mirror = folder / "mirror"
        self.pom, self.checksums, self.sources = folder / "pom.xml", folder / "checksums.txt", folder / "java"
        self.pom.write_text(POM)
        (self.sources / "own").mkdir(parents=True)
        (self.sources / "own" / "Own.java").write_text(SOURCE)
        self.publish("org/example", "one", "1.0", ONE_CLASS)
        self.publish("org/example/sub", "two", "2.0", b"")
        self.record()
        home = folder / "home"
        (home / ".m2").mkdir(parents=True)
        mirror = f"<mirror><mirrorOf>central</mirrorOf><url>{self.mirror.as_uri()}</url></mirror>"
        (home / ".m2" / "settings.xml").write_text(f"<settings><mirrors>{mirror}</mirrors></settings>")
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("HEADRACE_CACHE", str(folder / "cache"))
        for name, path in (("POM", self.pom), ("CHECKSUMS", self.checksums), ("SOURCES", self.sources)):
            monkeypatch.setattr(cache, name, path)

    def publish(self, group: str, artifact: str, version: str, class_file: bytes) -> Path:
        """Put a jar with one class into the mirror."""
        jar = self.mirror / group / artifact / version / f"{artifact}-{version}.jar"
        jar.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(jar, "w") as archive:
            archive.writestr("org/example/One.class", class_file)
        return jar

    def record(self) -> None:
        """Write the checksums of what the mirror has."""
        lines = [
            f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in sorted(self.mirror.rglob("*.jar"))
        ]
        self.checksums.write_text("# comment\n\n" + "".join(lines))
