"""The jars for S3: each is listed and recorded, in versions that belong to the Spark that is installed."""

from __future__ import annotations

from pathlib import Path

import pyspark
import pytest

from flume.errors import JarsDiffer
from flume.jars import ivy
from flume.jars.jar_set import read_checksums
from headrace import jars_s3a


def test_every_jar_of_the_list_is_recorded() -> None:
    wanted = {each.file_name for each in ivy.read_pom(jars_s3a.POM)}
    assert wanted == read_checksums(jars_s3a.CHECKSUMS).keys()


def test_hadoop_is_that_of_spark() -> None:
    (version,) = {each.version for each in ivy.read_pom(jars_s3a.POM) if each.artifact == "hadoop-aws"}
    assert (Path(pyspark.__path__[0]) / "jars" / f"hadoop-client-api-{version}.jar").is_file()


def test_nothing_is_listed_that_spark_has() -> None:
    """Two versions of one class on a class path are decided by chance."""
    of_spark = {path.name for path in (Path(pyspark.__path__[0]) / "jars").glob("*.jar")}
    families = {name.rstrip("0123456789.").removesuffix("-") for name in (n.removesuffix(".jar") for n in of_spark)}
    assert {each.artifact for each in ivy.read_pom(jars_s3a.POM)} & families == set()


@pytest.mark.java
def test_they_are_fetched_once_and_each_is_the_recorded_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jars = jars_s3a.ensure_jars(verify=True)
    assert len(jars) == 35
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path))
    monkeypatch.setattr(ivy, "fetch", lambda _wanted, work, *_: copied(jars, work))
    assert [jar.name for jar in jars_s3a.ensure_jars()] == [jar.name for jar in jars]
    monkeypatch.setattr(ivy, "fetch", None)
    assert len(jars_s3a.ensure_jars()) == 35


@pytest.mark.java
def test_a_jar_that_is_another_one_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jars = jars_s3a.ensure_jars()
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path))
    monkeypatch.setattr(ivy, "fetch", lambda _wanted, work, *_: copied(jars, work, spoil=jars[3].name))
    with pytest.raises(JarsDiffer, match=jars[3].name):
        jars_s3a.ensure_jars()
    assert not jars_s3a.cache_folder().exists()


def copied(jars: list[Path], work: Path, spoil: str = "") -> list[Path]:
    work.mkdir(parents=True)
    for jar in jars:
        (work / jar.name).write_bytes(jar.read_bytes() + (b"x" if jar.name == spoil else b""))
    return sorted(work.glob("*.jar"))
