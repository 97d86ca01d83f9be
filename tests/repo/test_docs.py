"""What the README says is so: commands, targets, options, settings and links are held against the code."""

from __future__ import annotations

import functools
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from pydantic import BaseModel

from avro_bridge.config import BridgeConfig
from headrace.cli.app import app
from headrace.containers import places, settings
from spark_job.jobs.catalog import JOBS, load
from spark_job.options.command_line import flag_of
from spark_job.runner.job_settings import JobSettings
from tests.support.source_tree import ROOT, project_files, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

README = ROOT / "README.md"
TARGETS = ("setup", "demo", "run", "drop", "status", "stop", "test", "test-all", "check", "bench", "clean")

SETTINGS: dict[str, type[BaseModel]] = {
    "The bridge's settings": BridgeConfig,
}
"""A heading of the README, and the model whose keys and defaults the table below it lists."""

FOREIGN_OPTIONS = {"--require-hashes", "--version", "--help", "--depth", "--noconftest"}
"""Options of other programs that the README may mention, and those that every command has."""


@functools.cache
def readme() -> str:
    return README.read_text(encoding="utf-8")


def code_of(text: str) -> str:
    """Return what stands in code spans and code blocks, a line each."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *spans])


def make_targets() -> dict[str, str]:
    """Return the targets that `make help` shows, with their sentences."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z][a-z-]*):[^#\n]*## (.+)$", text, re.MULTILINE))


def commands() -> dict[str, Any]:
    """Return every command of the command line by its words, groups resolved: ``log verify``."""

    # Typer keeps its copy of click's classes to itself, so they cannot be named here.
    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        below = getattr(command, "commands", None)
        # A group that makes its commands when they are called, as that of the jobs does, is a command here.
        if not below:
            yield " ".join(words), command
            return
        for name, child in below.items():
            yield from walk(child, (*words, name))

    return dict(walk(typer.main.get_command(app), ()))


def tables_under(heading: str, text: str) -> list[dict[str, str]]:
    """Return the rows of the tables between a heading and the next one of its level or above."""
    match = re.search(rf"^(#+) {re.escape(heading)}\s*$", text, re.MULTILINE)
    assert match is not None, f"the README has no heading {heading!r}"
    rest = text[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    rows: list[dict[str, str]] = []
    names: list[str] = []
    for line in rest[: end.start() if end else None].splitlines():
        if not line.startswith("|"):
            names = []
            continue
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if not names:
            names = [cell.lower() for cell in cells]
        elif not all(set(cell) <= set(":- ") for cell in cells):
            rows.append(dict(zip(names, cells, strict=True)))
    return rows


def settings_of(model: type[BaseModel], prefix: str = "") -> dict[str, tuple[str, str]]:
    """Return default and description of every key of a model, sections as ``section.key``."""
    found: dict[str, tuple[str, str]] = {}
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found |= settings_of(annotation, f"{prefix}{name}.")
        else:
            found[prefix + name] = (
                shown_default(field.get_default(call_default_factory=True)),
                field.description or "",
            )
    return found


def table_of(model: type[BaseModel]) -> str:
    """Return the table that the README should have, to be pasted there."""
    rows = [
        f"| `{key}` | `{default}` | {text} |".replace("\n", " ") for key, (default, text) in settings_of(model).items()
    ]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows])


def shown_default(value: object) -> str:
    """Return a default as a table shows it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return "[]" if not value else str(list(value))
    return str(value)


def slug(heading: str) -> str:
    """Return the anchor that a heading gets."""
    plain = re.sub(r"[`*_]|\[|\]\([^)]*\)", "", heading).strip().lower()
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain))


def documents() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".md"]


EXAMPLE = """
# Title

## Settings

| key | default |
|---|---|
| `a.b` | `1` |
| `c` | `x\\|y` |

### Below

| key | default |
|---|---|
| `d` | `2` |

## Other

| key | default |
|---|---|
| `e` | `3` |
"""


def test_a_table_is_read_up_to_the_next_heading_of_its_level() -> None:
    rows = tables_under("Settings", EXAMPLE)
    assert [(row["key"], row["default"]) for row in rows] == [("`a.b`", "`1`"), ("`c`", "`x|y`"), ("`d`", "`2`")]
    assert tables_under("Below", EXAMPLE) == [{"key": "`d`", "default": "`2`"}]


def test_the_table_to_paste_is_read_back_as_the_settings() -> None:
    rows = tables_under("T", f"## T\n\n{table_of(BridgeConfig)}\n")
    assert {row["key"].strip("`"): row["default"].strip("`") for row in rows} == {
        key: default for key, (default, _) in settings_of(BridgeConfig).items()
    }


def test_code_is_found_in_spans_and_blocks() -> None:
    text = "Use `make demo`.\n\n```sh\nheadrace run\n```\n\nNot make believe.\n"
    assert code_of(text).splitlines() == ["headrace run", "", "make demo"]


@pytest.mark.parametrize(
    ("heading", "anchor"), [("What is promised", "what-is-promised"), ("`run --once`, again", "run---once-again")]
)
def test_anchors_are_those_of_the_renderer(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def test_every_promised_target_is_there_and_described() -> None:
    assert set(TARGETS) <= set(make_targets())


def test_make_alone_prints_every_target() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target, sentence in make_targets().items():
        assert re.search(rf"^  {target} +{re.escape(sentence)}$", printed, re.MULTILINE), target


def test_the_targets_that_the_readme_names_exist() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code_of(readme())))
    assert named - set(make_targets()) == set()
    assert named, "the README names no target"


def test_every_command_is_in_the_readme() -> None:
    code = code_of(readme())
    missing = [words for words in commands() if not re.search(rf"headrace {re.escape(words)}\b", code)]
    assert missing == []


def test_the_commands_that_the_readme_names_exist() -> None:
    first_words = {words.split()[0] for words in commands()}
    named = set(re.findall(r"(?:^|[\s/])headrace ([a-z]+)\b", code_of(readme()), re.MULTILINE))
    assert named - first_words == set()


def test_the_options_that_the_readme_shows_exist() -> None:
    known = {option for command in commands().values() for parameter in command.params for option in parameter.opts}
    models: list[type[BaseModel]] = [JobSettings, *(load(entry.name).options for entry in JOBS)]
    known |= {f"--{flag_of(*field).name}" for model in models for field in model.model_fields.items()}
    lines = [line for line in code_of(readme()).splitlines() if re.search(r"\bheadrace [a-z]|^--", line)]
    named = {option for line in lines for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", line)}
    assert named - known - FOREIGN_OPTIONS == set()


@pytest.mark.parametrize("heading", SETTINGS)
def test_a_table_of_settings_is_that_of_the_code(heading: str) -> None:
    listed = {row["key"].strip("`"): row["default"].strip("`") for row in tables_under(heading, readme())}
    expected = {key: default for key, (default, _) in settings_of(SETTINGS[heading]).items()}
    assert listed == expected, f"the table should be:\n{table_of(SETTINGS[heading])}"


def test_the_settings_of_the_containers_are_those_of_the_example() -> None:
    listed = {
        row["variable"].strip("`"): row["default"].strip("`").replace("none", "")
        for row in tables_under("Settings of the containers", readme())
    }
    assert listed == settings.parse(places.EXAMPLE)


@pytest.mark.parametrize("model", SETTINGS.values())
def test_every_setting_has_a_description(model: type[BaseModel]) -> None:
    assert [key for key, (_, description) in settings_of(model).items() if not description] == []


@pytest.mark.parametrize("document", documents(), ids=shown)
def test_links_between_documents_resolve(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists():
            broken.append(target)
        elif anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            if anchor not in {slug(heading) for heading in headings}:
                broken.append(target)
    assert broken == []


@pytest.mark.parametrize("words", sorted(commands()))
def test_a_commands_help_has_an_example_and_describes_every_option(words: str) -> None:
    command = commands()[words]
    assert command.help is not None
    assert re.match(r"[A-Z][a-z]+\b", command.help), "a help text begins with what the command does"
    assert f"headrace {words}" in command.help, "a help text shows an example"
    bare = [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]
    assert bare == []
