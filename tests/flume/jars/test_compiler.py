"""Sources become a jar, the same bytes each time, and a source that is wrong is quoted."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from flume.errors import JarsMissing
from flume.jars.compiler import compile_sources
from tests.support.agents import java_or_skip

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "package own; public class Own { public static int two() { return 2; } }\n"


@pytest.mark.java
def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    java = java_or_skip()
    (tmp_path / "java" / "own").mkdir(parents=True)
    (tmp_path / "java" / "own" / "Own.java").write_text(SOURCE)
    first, second = tmp_path / "one" / "own.jar", tmp_path / "two" / "own.jar"
    for target in (first, second):
        compile_sources(tmp_path / "java", [], target, java)
    assert zipfile.ZipFile(first).namelist() == ["own/Own.class"]
    assert first.read_bytes() == second.read_bytes()
    assert list(first.parent.iterdir()) == [first]


@pytest.mark.java
def test_a_source_that_does_not_compile_is_quoted(tmp_path: Path) -> None:
    java = java_or_skip()
    (tmp_path / "java").mkdir()
    (tmp_path / "java" / "Own.java").write_text("public class Own { int x = nothing; }\n")
    with pytest.raises(JarsMissing, match=r"(?s)did not compile.*nothing"):
        compile_sources(tmp_path / "java", [], tmp_path / "work" / "own.jar", java)
    assert not (tmp_path / "work" / "own.jar").exists()
