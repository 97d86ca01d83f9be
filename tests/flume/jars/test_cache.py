"""The class path: only recorded bytes get on it, once, and without a network once they are there."""

from __future__ import annotations

import hashlib
import threading
import xml.etree.ElementTree as ET
import zipfile
from typing import TYPE_CHECKING

import pytest

from flume.errors import JarsDiffer, JarsMissing, JavaMissing
from flume.jars import cache, ivy
from flume.jars.java import find_java
from tests.support.agents import java_or_skip

if TYPE_CHECKING:
    from pathlib import Path

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <properties><one.version>1.0</one.version></properties>
  <dependencies>
    <dependency><groupId>org.example</groupId><artifactId>one</artifactId><version>${one.version}</version></dependency>
    <dependency><groupId>org.example.sub</groupId><artifactId>two</artifactId><version>2.0</version></dependency>
  </dependencies>
</project>
"""
SOURCE = "package own; public class Own { public static String name() { return org.example.One.class.getName(); } }\n"


class Project:
    """A small project with its own POM, record, source and a mirror in a folder, in place of the agent's."""

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


# `package org.example; public class One {}` as a class file of version 50: a constant pool of four, no members.
ONE_CLASS = bytes.fromhex(
    "cafebabe 0000 0032 0005 07 0002 01 000f 6f72672f6578616d706c652f4f6e65"
    "07 0004 01 0010 6a6176612f6c616e672f4f626a656374"
    "0021 0001 0003 0000 0000 0000 0000"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


def test_the_record_is_of_the_poms_jars_and_both_name_no_host() -> None:
    wanted = ivy.read_pom(cache.POM)
    assert {c.file_name for c in wanted} == cache.read_checksums(cache.CHECKSUMS).keys()
    assert len({c.version for c in wanted if c.group == "com.fasterxml.jackson.core"}) == 1
    assert not {"jetty", "hadoop", "libthrift", "zookeeper"} & {c.artifact.split("-")[0] for c in wanted}
    text = cache.POM.read_text() + cache.CHECKSUMS.read_text()
    assert text.replace("http://maven.apache.org/POM/4.0.0", "").count("://") == 0


def test_every_dependency_of_the_pom_stands_alone_or_draws_in_nothing_new() -> None:
    root = ET.parse(cache.POM).getroot()  # noqa: S314 - the project's own file
    flume = [d for d in root.iterfind(".//{*}dependency") if "flume" in (d.findtext("{*}groupId") or "")]
    assert flume
    assert all(d.findtext(".//{*}exclusion/{*}artifactId") == "*" for d in flume)


@pytest.mark.java
def test_fetching_compiles_too_and_needs_nothing_the_second_time(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    java_or_skip()
    seen: list[tuple[int, int, str]] = []
    found = cache.ensure_jars(lambda done, total, name: seen.append((done, total, name)))
    assert [jar.name for jar in found] == ["headrace-flume.jar", "one-1.0.jar", "two-2.0.jar"]
    assert [(done, total) for done, total, _ in seen] == [(1, 2), (2, 2)]
    assert zipfile.ZipFile(found[0]).namelist() == ["own/Own.class"]

    # Neither a mirror nor Java is there any more.
    project.mirror.rename(project.folder / "elsewhere")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert cache.ensure_jars(verify=True) == found


@pytest.mark.java
def test_a_jar_with_other_bytes_never_gets_there(project: Project) -> None:
    java_or_skip()
    project.publish("org/example", "one", "1.0", ONE_CLASS + b"more")
    with pytest.raises(JarsDiffer, match=r"one-1\.0\.jar: its SHA-256 is .* recorded is"):
        cache.ensure_jars()
    assert [path.name for path in cache.cache_folder().parent.iterdir()] == [".lock"]


@pytest.mark.java
def test_a_jar_that_cannot_be_fetched_is_named(project: Project) -> None:
    java_or_skip()
    next(project.mirror.rglob("two-2.0.jar")).unlink()
    with pytest.raises(JarsMissing, match=r"could not fetch two-2\.0\.jar"):
        cache.ensure_jars()


@pytest.mark.java
def test_a_source_that_does_not_compile_is_quoted(project: Project) -> None:
    java_or_skip()
    (project.sources / "own" / "Own.java").write_text("package own; public class Own { int x = nothing; }\n")
    with pytest.raises(JarsMissing, match=r"(?s)did not compile.*nothing"):
        cache.ensure_jars()


@pytest.mark.java
def test_a_cache_that_lost_a_file_is_filled_again(project: Project) -> None:
    java_or_skip()
    found = cache.ensure_jars()
    found[1].unlink()
    assert cache.ensure_jars() == found
    assert found[1].exists()


@pytest.mark.java
def test_bytes_changed_in_the_cache_are_found_by_verify(project: Project) -> None:
    java_or_skip()
    jar = cache.ensure_jars()[1]
    content = bytearray(jar.read_bytes())
    content[-1] ^= 1
    jar.write_bytes(content)
    with pytest.raises(JarsDiffer, match="recorded is"):
        cache.ensure_jars(verify=True)


@pytest.mark.java
def test_several_callers_at_once_fetch_once(project: Project) -> None:
    java_or_skip()
    fetched: list[str] = []
    results: list[list[Path]] = []

    def call() -> None:
        results.append(cache.ensure_jars(lambda _done, _total, name: fetched.append(name)))

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 2
    assert results[0] == results[1] == results[2]


@pytest.mark.java
def test_record_writes_what_ensure_accepts(project: Project) -> None:
    java_or_skip()
    before = cache.read_checksums(project.checksums)
    project.checksums.write_text("")
    with pytest.raises(JarsDiffer, match=r"disagree on one-1\.0\.jar, two-2\.0\.jar"):
        cache.ensure_jars()
    assert cache.main(["record"]) == 0
    assert cache.read_checksums(project.checksums) == before
    assert cache.main(["fetch"]) == 0


def test_unknown_and_absent_jars_are_refused(tmp_path: Path) -> None:
    known, unknown = tmp_path / "known.jar", tmp_path / "unknown.jar"
    known.write_bytes(b"1")
    unknown.write_bytes(b"2")
    recorded = {"known.jar": hashlib.sha256(b"1").hexdigest()}
    cache.check_jars([known], recorded)
    with pytest.raises(JarsDiffer, match=r"unknown\.jar is not in checksums\.txt"):
        cache.check_jars([known, unknown], recorded)
    with pytest.raises(JarsDiffer, match=r"recorded in checksums\.txt but not there: known\.jar"):
        cache.check_jars([], recorded)


@pytest.mark.parametrize("line", ["abc  one.jar", "0" * 64 + " one.jar", "0" * 64 + "  one.zip", "one.jar"])
def test_a_damaged_record_is_an_error_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "checksums.txt").write_text(f"# heading\n{line}\n")
    with pytest.raises(JarsDiffer, match="line 2"):
        cache.read_checksums(tmp_path / "checksums.txt")
    with pytest.raises(JarsDiffer, match="cannot be read"):
        cache.read_checksums(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("pom", "said"),
    [
        ("<project", "not a readable POM"),
        (POM.replace("<version>2.0</version>", ""), "a dependency has no version"),
        (POM.replace("one.version}", "other.version}"), "the property 'other.version' is used but not defined"),
    ],
)
def test_a_pom_that_says_too_little_is_refused(tmp_path: Path, pom: str, said: str) -> None:
    path = tmp_path / "pom.xml"
    path.write_text(pom)
    with pytest.raises(JarsDiffer, match=said):
        ivy.read_pom(path)


@pytest.mark.parametrize(
    ("mirror_of", "expected"),
    [("central", True), ("*", True), ("external:*", True), ("*,!central", False), ("other", False)],
)
def test_the_mirror_of_mavens_settings_is_used_if_it_mirrors_central(
    tmp_path: Path, mirror_of: str, *, expected: bool
) -> None:
    settings = tmp_path / "settings.xml"
    for namespace in ("", ' xmlns="http://maven.apache.org/SETTINGS/1.0.0"'):
        settings.write_text(
            f"<settings{namespace}><mirrors><mirror><mirrorOf>{mirror_of}</mirrorOf><url>file:/m</url></mirror></mirrors></settings>"
        )
        assert ivy.central_mirror(settings) == ("file:/m/" if expected else None)
    assert ivy.central_mirror(tmp_path / "none.xml") is None
    assert 'root="file:/m/"' in ivy.settings_xml("file:/m/")
    assert "root" not in ivy.settings_xml(None)


def test_proxy_variables_reach_java() -> None:
    environment = {"https_proxy": "http://proxy.example:3128", "HTTP_PROXY": "other.example"}
    assert ivy.proxy_options(environment) == [
        "-Dhttp.proxyHost=other.example",
        "-Dhttp.proxyPort=80",
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
    ]
    assert ivy.proxy_options({}) == []


def test_usage_is_an_exit_code() -> None:
    assert cache.main([]) == 2


def test_a_machine_without_java_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(JavaMissing, match=r"apt-get install .*dnf install .*brew install") as caught:
        find_java()
    assert "\n" not in str(caught.value)

    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(JavaMissing, match="is version 11"):
        find_java()
    old.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(JavaMissing, match="is not usable"):
        find_java()
    old.write_text("#!/bin/sh\necho 'openjdk version \"21\"' >&2\n")
    assert find_java() == old
