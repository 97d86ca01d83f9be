"""The class path: complete after one call, without a network after that; a changed source is compiled again."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET
import zipfile
from typing import TYPE_CHECKING

import pytest

from flume.errors import JarsDiffer, JarsMissing
from flume.jars import cache, ivy
from flume.jars.jar_set import read_checksums
from tests.support.agents import java_or_skip
from tests.support.jar_project import ONE_CLASS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.jar_project import JarProject


def test_the_record_is_of_the_poms_jars_and_both_name_no_host() -> None:
    wanted = ivy.read_pom(cache.POM)
    assert {c.file_name for c in wanted} == read_checksums(cache.CHECKSUMS).keys()
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
    project: JarProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    java_or_skip()
    seen: list[tuple[int, int, str]] = []
    found = cache.ensure_jars(lambda done, total, name: seen.append((done, total, name)))
    assert [jar.name for jar in found] == ["one-1.0.jar", "two-2.0.jar", "headrace-flume.jar"]
    assert {jar.parent for jar in found[:2]} == {cache.cache_folder()}
    assert [(done, total) for done, total, _ in seen] == [(1, 2), (2, 2)]
    assert zipfile.ZipFile(found[2]).namelist() == ["own/Own.class"]

    # From here on both mirror and Java are missing.
    project.mirror.rename(project.folder / "elsewhere")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert cache.ensure_jars(verify=True) == found


@pytest.mark.java
def test_a_changed_source_is_compiled_and_fetches_nothing(project: JarProject) -> None:
    java_or_skip()
    before = cache.ensure_jars()
    project.mirror.rename(project.folder / "elsewhere")
    source = project.sources / "own" / "Own.java"
    source.write_text(source.read_text().replace("name()", "title()"))
    after = cache.ensure_jars()
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert b"title" in zipfile.ZipFile(after[2]).read("own/Own.class")


@pytest.mark.java
def test_a_jar_with_other_bytes_never_gets_there(project: JarProject) -> None:
    java_or_skip()
    project.publish("org/example", "one", "1.0", ONE_CLASS + b"more")
    with pytest.raises(JarsDiffer, match=r"one-1\.0\.jar: its SHA-256 is .* records"):
        cache.ensure_jars()
    assert [path.name for path in cache.cache_folder().parent.iterdir()] == [".lock"]


@pytest.mark.java
def test_a_jar_that_cannot_be_fetched_is_named(project: JarProject) -> None:
    java_or_skip()
    next(project.mirror.rglob("two-2.0.jar")).unlink()
    with pytest.raises(JarsMissing, match=r"could not fetch two-2\.0\.jar"):
        cache.ensure_jars()


@pytest.mark.java
@pytest.mark.parametrize("lost", [0, 2], ids=["a fetched jar", "our own"])
def test_a_cache_that_lost_a_file_is_filled_again(project: JarProject, lost: int) -> None:
    java_or_skip()
    found = cache.ensure_jars()
    found[lost].unlink()
    assert cache.ensure_jars() == found
    assert found[lost].exists()


@pytest.mark.java
def test_bytes_changed_in_the_cache_are_found_by_verify(project: JarProject) -> None:
    java_or_skip()
    jar = cache.ensure_jars()[0]
    content = bytearray(jar.read_bytes())
    content[-1] ^= 1
    jar.write_bytes(content)
    with pytest.raises(JarsDiffer, match="records"):
        cache.ensure_jars(verify=True)


@pytest.mark.java
def test_several_callers_at_once_fetch_once(project: JarProject) -> None:
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
def test_record_writes_what_ensure_accepts(project: JarProject) -> None:
    java_or_skip()
    before = read_checksums(project.checksums)
    project.checksums.write_text("")
    with pytest.raises(JarsDiffer, match=r"disagree on one-1\.0\.jar, two-2\.0\.jar"):
        cache.ensure_jars()
    assert cache.main(["record"]) == 0
    assert read_checksums(project.checksums) == before
    assert cache.main(["fetch"]) == 0


def test_usage_and_refusals_are_exit_codes(project: JarProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert cache.main([]) == 2
    assert capsys.readouterr().err == "usage: python -m flume.jars.cache record|fetch\n"
    project.checksums.write_text("what is this\n")
    assert cache.main(["fetch"]) == 1
    assert "checksums.txt, line 1" in capsys.readouterr().err
