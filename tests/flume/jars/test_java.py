"""Java is found by JAVA_HOME or on the PATH, asked for its version, and its absence comes with the cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flume.errors import JavaMissing
from flume.jars.java import find_java

if TYPE_CHECKING:
    from pathlib import Path


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


def test_java_home_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, version in (("home/bin", 21), ("path", 17)):
        (tmp_path / folder).mkdir(parents=True)
        java = tmp_path / folder / "java"
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert find_java() == tmp_path / "home" / "bin" / "java"
    # An old JAVA_HOME does not hide a good Java on the PATH.
    (tmp_path / "home" / "bin" / "java").write_text("#!/bin/sh\necho 'openjdk version \"8\"' >&2\n")
    assert find_java() == tmp_path / "path" / "java"
