"""The page of the command line has every command with its own options."""

from __future__ import annotations

import re

import pytest

from docs.command_reference import commands, make_targets, page
from spark_job.jobs.catalog import JOBS


@pytest.fixture(scope="module")
def text() -> str:
    return page()


def section(text: str, heading: str) -> str:
    return text.partition(f"### `{heading}`\n")[2].partition("\n### ")[0]


def test_groups_are_resolved_to_their_commands() -> None:
    words = [words for words, _ in commands()]
    assert {"run", "log verify", *(f"job {entry.name}" for entry in JOBS)} <= set(words)
    assert len(set(words)) == len(words)


def test_a_job_shows_its_own_options_and_links_the_shared_ones(text: str) -> None:
    sessions = section(text, "headrace job sessions")
    assert "| `--gap` | `30m` | A longer pause ends the session. |" in sessions
    assert "--sink" not in sessions
    assert "(#options-of-every-job)" in sessions
    assert text.count("| `--sink` |") == 1


def test_examples_become_commands_to_copy(text: str) -> None:
    assert "```sh\nheadrace jobs\n```" in section(text, "headrace jobs")
    assert "Example:" not in text
    assert all("`" not in block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


def test_options_of_the_process_are_those_that_the_pipeline_fills_in(text: str) -> None:
    process = text.partition("## Options of a job's own process")[2]
    assert "| `--job-folder` |" in process
    assert "| `--sink` |" not in process


def test_a_target_needs_a_sentence_to_be_listed() -> None:
    assert make_targets("a: b ## Do it\nc:\n\techo\nd-e: ## Do that\n") == [("a", "Do it"), ("d-e", "Do that")]
