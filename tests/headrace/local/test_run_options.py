"""The options of a run: defaults, where its state is, and what reaches the job."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.errors import UsageError
from headrace.local.run_options import needs_bridge, parse_options, read_run_options
from spark_job.jobs.options import UrlCountsOptions


def test_the_slide_is_the_window_and_the_sink_is_the_console_unless_told_otherwise(tmp_path: Path) -> None:
    options = parse_options(window="1h")
    assert isinstance(options.own, UrlCountsOptions)
    assert options.own.windows.slide == options.own.windows.length
    assert [sink.kind for sink in options.settings.sinks] == ["console"]
    only_file = parse_options(out=tmp_path / "counts.jsonl").settings
    assert [(sink.kind, sink.path) for sink in only_file.sinks] == [("jsonl", tmp_path / "counts.jsonl")]
    both = parse_options(sinks=["console"], out=tmp_path / "counts.jsonl").settings
    assert [sink.kind for sink in both.sinks] == ["console", "jsonl"]
    with pytest.raises(UsageError, match="--top 0"):
        parse_options(top="0")


def test_sinks_reach_the_job_as_absolute_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    options = parse_options(out=Path("counts.jsonl"))
    assert [sink.path for sink in options.settings.sinks] == [tmp_path / "counts.jsonl"]


def test_each_job_has_a_state_folder_of_its_own_unless_one_is_named(tmp_path: Path) -> None:
    assert read_run_options({}).state == Path("state")
    assert read_run_options({}, "sessions").state == Path("state-sessions")
    assert read_run_options({"state": tmp_path}, "sessions").state == tmp_path


def test_what_the_run_fills_in_reaches_the_job_and_nothing_else_changes() -> None:
    options = parse_options(window="1m")
    before = set(options.job_arguments())
    filled = set(options.job_arguments(bridges="127.0.0.1:4142", job_folder=Path("job")))
    assert filled - before == {"--bridges=127.0.0.1:4142", "--job-folder=job"}
    assert "--window=1m" in before


def test_a_bounded_run_is_a_copy() -> None:
    options = parse_options()
    assert options.with_settings(bounded=True).settings.bounded
    assert not options.settings.bounded


@pytest.mark.parametrize(("job", "needed"), [("url-counts", True), ("sessions", True), ("actions", False)])
def test_only_a_job_over_objects_needs_no_bridge(job: str, needed: bool) -> None:  # noqa: FBT001
    assert needs_bridge(job) is needed


@pytest.mark.parametrize(
    ("given", "said"),
    [({"channel": "disk"}, "channel"), ({"window": "soon"}, "--window soon"), ({"max_events": "0"}, "--max-events 0")],
)
def test_an_option_that_cannot_be_used_is_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_run_options(given)
