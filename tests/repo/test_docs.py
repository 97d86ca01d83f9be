"""The pages agree with the code: links, paths, names, commands, targets, options, settings and layers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from avro_bridge.config import BridgeConfig
from docs import command_reference
from docs.generate import FOLDER, PAGES, out_of_date
from headrace.container_settings import SETTINGS
from spark_job.jobs.catalog import JOBS, load
from spark_job.options.command_line import flag_of
from spark_job.runner.job_settings import JobSettings
from spark_job.source.option_table import GROUPS
from tests.support.markdown import anchors, code_of, links, pages, spans, tables_under
from tests.support.source_tree import PACKAGES, ROOT, module_name, project_files, python_files, shown, tree_of

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
TARGETS = ("setup", "demo", "run", "drop", "status", "stop", "test", "test-all", "check", "bench", "clean", "docs")
FOREIGN_OPTIONS = {"--require-hashes", "--version", "--help", "--depth", "--noconftest", "--config", "--ready-file"}
"""Options of other programs that the pages may mention, and those that every command has."""
FOREIGN_PROGRAMS = ("kubectl ", "docker ", "sudo ")
MADE_BY_USERS = {"docker/.env"}
"""Paths on the pages that look like the repository's and are not."""


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def guides() -> list[Path]:
    """Return the pages for users: all but the changelog, its fragments, and forms of the hosting site."""
    folders = (DOCS, ROOT / "examples")
    return [
        path
        for path in pages()
        if path.name != "CHANGELOG.md" and (path.parent == ROOT or any(folder in path.parents for folder in folders))
    ]


def own_code(document: Path) -> str:
    """Return the code of a page without the lines that call other programs."""
    lines = code_of(document.read_text(encoding="utf-8")).splitlines()
    return "\n".join(line for line in lines if not line.startswith(FOREIGN_PROGRAMS))


def commands() -> dict[str, Any]:
    return dict(command_reference.commands())


def settings_of(model: type[BaseModel], prefix: str = "") -> dict[str, tuple[object, str]]:
    """Return default and description of every key of a model, sections as ``section.key``."""
    found: dict[str, tuple[object, str]] = {}
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found |= settings_of(annotation, f"{prefix}{name}.")
        else:
            found[prefix + name] = (field.get_default(call_default_factory=True), field.description or "")
    return found


def shown_default(value: object) -> str:
    """Return a default as a table shows it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return "[]" if not value else str(list(value))
    return str(value)


@pytest.mark.parametrize("document", pages(), ids=shown)
def test_links_between_pages_resolve(document: Path) -> None:
    broken = []
    for target in links(document.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("document", guides(), ids=shown)
def test_paths_in_code_spans_exist(document: Path) -> None:
    known = {shown(path) for path in project_files()}
    folders = {parent for name in known for parent in parents_of(name)}
    top = {name.partition("/")[0] for name in known if "/" in name}
    named = {
        span for span in spans(document.read_text(encoding="utf-8")) if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", span)
    }
    paths = {span for span in named if "/" in span and span.partition("/")[0] in top and "NAME" not in span}
    assert {path for path in paths if path.rstrip("/") not in known | folders} - MADE_BY_USERS == set()


def parents_of(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


@pytest.mark.parametrize("document", guides(), ids=shown)
def test_python_names_in_code_spans_exist(document: Path) -> None:
    modules = {module_name(path): path for path in python_files(*PACKAGES)}
    text = document.read_text(encoding="utf-8")
    dotted = {span for span in spans(text) if re.fullmatch(rf"({'|'.join(PACKAGES)})(\.\w+)+", span)}
    assert {name for name in dotted if not is_known(name, modules)} == set()


def is_known(name: str, modules: dict[str, Path]) -> bool:
    """Say whether a dotted name is a module or a name at the top of one."""
    module, _, last = name.rpartition(".")
    if name in modules:
        return True
    return module in modules and last in {
        getattr(node, "name", getattr(getattr(node, "target", None), "id", ""))
        for node in tree_of(modules[module]).body
    } | {
        getattr(target, "id", "")
        for node in tree_of(modules[module]).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    }


def test_a_name_that_is_not_there_is_noticed() -> None:
    modules = {module_name(path): path for path in python_files(*PACKAGES)}
    assert is_known("spark_job.windows.count_urls", modules)
    assert not is_known("spark_job.windows.count_uris", modules)


def test_the_messages_that_operators_look_up_are_those_of_the_program() -> None:
    sources = [" ".join(path.read_text(encoding="utf-8").split()) for path in python_files(*PACKAGES)]
    messages = [
        span for row in tables_under("When something is wrong", page("operations.md")) for span in spans(row["you see"])
    ]
    fragments = {part.strip(" :;,") for message in messages if " " in message for part in message.split("...")} - {""}
    missing = {part for part in fragments if not any(part in text for text in sources)}
    assert missing == set()
    assert len(fragments) >= 8, "the table of messages is gone"


def test_every_promised_target_is_there_and_described() -> None:
    assert set(TARGETS) <= set(make_targets())


def make_targets() -> dict[str, str]:
    return dict(command_reference.make_targets((ROOT / "Makefile").read_text(encoding="utf-8")))


def test_make_alone_prints_every_target() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target, sentence in make_targets().items():
        assert re.search(rf"^  {target} +{re.escape(sentence)}$", printed, re.MULTILINE), target


@pytest.mark.parametrize("document", guides(), ids=shown)
def test_targets_and_commands_that_a_page_names_exist(document: Path) -> None:
    code = own_code(document)
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", code)) - set(make_targets()) == set()
    first_words = {words.split()[0] for words in commands()}
    assert set(re.findall(r"(?:^|[\s/])headrace ([a-z]+)\b", code, re.MULTILINE)) - first_words == set()


def test_every_command_is_in_the_reference() -> None:
    code = code_of(page("reference/cli.md"))
    assert [words for words in commands() if not re.search(rf"headrace {re.escape(words)}\b", code)] == []


@pytest.mark.parametrize("document", guides(), ids=shown)
def test_the_options_that_a_page_shows_exist(document: Path) -> None:
    known = {option for command in commands().values() for parameter in command.params for option in parameter.opts}
    models: list[type[BaseModel]] = [JobSettings, *(load(entry.name).options for entry in JOBS)]
    known |= {f"--{flag_of(*field).name}" for model in models for field in model.model_fields.items()}
    code = own_code(document)
    lines = [line for line in code.splitlines() if re.search(r"\b(headrace|spark_job|avro_bridge) [a-z]|^--", line)]
    named = {option for line in lines for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", line)}
    assert named - known - FOREIGN_OPTIONS == set()


@pytest.mark.parametrize("words", sorted(commands()))
def test_a_commands_help_has_an_example_and_describes_every_option(words: str) -> None:
    command = commands()[words]
    assert command.help is not None
    assert re.match(r"[A-Z][a-z]+\b", command.help), "a help text begins with what the command does"
    assert f"headrace {words}" in command.help, "a help text shows an example"
    bare = [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]
    assert bare == []


def test_the_reference_pages_are_those_of_the_code() -> None:
    problems = out_of_date(FOLDER, PAGES)
    assert problems == [], "\n".join(problems)


def test_every_job_has_a_section_with_a_command_and_an_output() -> None:
    text = page("jobs.md")
    for entry in JOBS:
        section = text.partition(f"\n## `{entry.name}`\n")[2].partition("\n## ")[0]
        assert f"headrace job {entry.name} " in section
        assert "read" in section.partition("<!-- output -->\n```text\n")[2].partition("\n```")[0], entry.name


def test_the_bridges_page_has_every_key_with_its_default() -> None:
    text = page("reference/bridge.md")
    rows = tables_under("Settings of the bridge", text)
    listed = {row["key"].strip("`"): row["default"].strip("`").replace("_", "") for row in rows if "default" in row}
    assert listed == {
        key: shown_default(default).replace("_", "") for key, (default, _) in settings_of(BridgeConfig).items()
    }
    assert [key for key, (_, description) in settings_of(BridgeConfig).items() if not description] == []


def test_the_containers_page_has_every_setting_in_its_order() -> None:
    rows = tables_under("Settings of the containers", page("reference/containers.md"))
    assert [row["variable"].strip("`") for row in rows] == list(SETTINGS)


def test_the_page_of_the_sources_has_every_option() -> None:
    rows = tables_under("Options of the Spark sources", page("reference/spark-options.md"))
    listed = {row["option"].strip("`"): row["default"] for row in rows if "option" in row}
    assert listed == {
        option.name: option.default or option.if_not_set for options in GROUPS.values() for option in options
    }


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(tmp_path / "trees")]
    built = subprocess.run([*command, str(DOCS), str(tmp_path / "html")], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    index = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
    missing = [
        path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).with_suffix(".html").as_posix() not in index
    ]
    assert missing == [], "every page is in the table of contents"
    assert not (tmp_path / "html" / "_downloads").exists(), "no link offers a file of the repository as a download"
