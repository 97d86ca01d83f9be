"""What is quoted reads back as it was: by a reference reader, and by Java itself."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flume.config.quoting import launcher_argument, properties_value
from tests.support.agents import java_or_skip
from tests.support.properties import read_properties

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = st.text(st.characters(codec="utf-16"), max_size=40)
AWKWARD = [
    "",
    " leading",
    "trailing ",
    "  two",
    "a = b : c",
    "#comment",
    "!also",
    "back\\slash\\",
    "tab\tline\nfeed\fcr\r",
    "ümläut",
    "日本",
    "\N{PILE OF POO}",
    "\0\x1f\x7f\x80\xff",
    "^.*\\.(tmp|part)$",
]

PRINT_PROPERTIES = """
import java.io.*; import java.util.*;
public class PrintProperties {
  public static void main(String[] a) throws IOException {
    Properties p = new Properties();
    try (InputStream in = new FileInputStream(a[0])) { p.load(in); }
    PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8");
    for (int i = 0; i < p.size(); i++) {
      StringBuilder hex = new StringBuilder();
      for (char c : p.getProperty("k" + i).toCharArray()) hex.append(String.format("%04x", (int) c));
      out.println(hex);
    }
  }
}
"""
PRINT_ARGUMENTS = """
public class PrintArguments {
  public static void main(String[] a) {
    for (String s : a) {
      StringBuilder hex = new StringBuilder();
      for (char c : s.toCharArray()) hex.append(String.format("%04x", (int) c));
      System.out.println(hex);
    }
  }
}
"""


@given(st.lists(TEXTS, max_size=4))
@example([" b", ":", "!", "=", "a\\", "next"])
def test_properties_read_back(values: list[str]) -> None:
    text = "\n".join(f"k{number} = {properties_value(value)}" for number, value in enumerate(values))
    assert text.isascii()
    assert read_properties(text) == {f"k{number}": value for number, value in enumerate(values)}


def test_booleans_and_numbers_are_written_as_flume_reads_them() -> None:
    assert (properties_value(True), properties_value(False), properties_value(17)) == ("true", "false", "17")


def java_single_file(tmp_path: Path, name: str, source: str, *arguments: str) -> list[str]:
    """Run a source file by the Java launcher, which needs a JDK; returns the lines it prints."""
    java = java_or_skip()
    if shutil.which("javac") is None:
        pytest.skip("a JRE without a compiler cannot run a source file")
    path = tmp_path / f"{name}.java"
    path.write_text(source, encoding="ascii")
    command = [str(java), str(path), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.splitlines()


def hexadecimal(text: str) -> str:
    return text.encode("utf-16-be").hex()


@pytest.mark.java
def test_java_itself_reads_the_properties_back(tmp_path: Path) -> None:
    file = tmp_path / "x.properties"
    lines = [f"k{i} = {properties_value(text)}" for i, text in enumerate(AWKWARD)]
    file.write_text("\n".join(lines), encoding="ascii")
    assert java_single_file(tmp_path, "PrintProperties", PRINT_PROPERTIES, str(file)) == list(map(hexadecimal, AWKWARD))


@pytest.mark.java
def test_the_java_launcher_reads_an_argument_file_back(tmp_path: Path) -> None:
    texts = ["plain", "with blank", 'quo"te', "back\\slash", "tab\tnew\nline", "# no comment", "'single'"]
    java, javac = java_or_skip(), shutil.which("javac")
    if javac is None:
        pytest.skip("a JRE without a compiler cannot compile the program")
    source, arguments = tmp_path / "PrintArguments.java", tmp_path / "arguments"
    source.write_text(PRINT_ARGUMENTS, encoding="ascii")
    subprocess.run([javac, "-d", str(tmp_path), str(source)], check=True, timeout=120)
    # The launcher reads argument files in front of the main class only, so the class stands in the file.
    arguments.write_text("PrintArguments\n" + "\n".join(map(launcher_argument, texts)), encoding="ascii")
    command = [str(java), "-cp", str(tmp_path), f"@{arguments}"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.splitlines()
    assert printed == list(map(hexadecimal, texts))
