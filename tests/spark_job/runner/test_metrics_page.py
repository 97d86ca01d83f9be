"""The page says what the progress file says, also when there is little or nothing in it."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from spark_job.errors import OptionError
from spark_job.runner.metrics_page import STATES, metrics_page, parse_address

if TYPE_CHECKING:
    from pathlib import Path

RUNNING = {
    "state": "running",
    "pid": 1,
    "checked_at": "2026-11-22T10:00:01Z",
    "batch_at": "2026-11-22T10:00:00Z",
    "batch_id": 7,
    "watermark": "1970-01-01T00:01:00Z",
    "tally": {"read": 10, "lost": 0, "counted": 6, "malformed": 1, "late": 1, "too_old": 2, "balanced": True},
    "batch_ms": 250,
    "state_rows": 3,
    "waiting": 5,
    "error": "",
}


def scrape(progress: Path) -> dict[str, float]:
    """Return the value of every sample of the page of a job with such a file."""
    with (
        metrics_page(progress, "127.0.0.1:0") as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer,
    ):
        text = answer.read().decode()
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_running_job_is_shown_whole(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text(json.dumps(RUNNING))
    assert scrape(tmp_path / "progress.json") == {
        **{f"headrace_job_state{{{state}}}": float(state == "running") for state in STATES},
        "headrace_job_state_rows": 3.0,
        "headrace_job_waiting_events": 5.0,
        "headrace_job_batch_id": 7.0,
        "headrace_job_batch_seconds": 0.25,
        "headrace_job_checked_timestamp_seconds": 1795341601.0,
        "headrace_job_batch_timestamp_seconds": 1795341600.0,
        "headrace_job_watermark_timestamp_seconds": 60.0,
        "headrace_job_read_lines_total": 10.0,
        "headrace_job_lines_total{counted}": 6.0,
        "headrace_job_lines_total{malformed}": 1.0,
        "headrace_job_lines_total{late}": 1.0,
        "headrace_job_lines_total{too_old}": 2.0,
        "headrace_job_lines_total{lost}": 0.0,
        "headrace_job_balanced": 1.0,
    }


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        '{"state": "running", "batch_at": null, "waiting": null}',
        '{"batch_at": "yesterday", "batch_ms": "long", "tally": {"read": null}}',
    ],
)
def test_what_the_file_does_not_say_is_left_out(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "progress.json").write_text(text)
    assert set(scrape(tmp_path / "progress.json")) == {f"headrace_job_state{{{state}}}" for state in STATES}


def test_without_an_address_there_is_no_page(tmp_path: Path) -> None:
    with metrics_page(tmp_path / "progress.json", "") as port:
        assert port == 0


@pytest.mark.parametrize("address", ["4144", ":4144", "localhost:", "localhost:http", "localhost:65536"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match="give host:port"):
        parse_address(address)


def test_a_taken_port_is_refused_with_the_reason(tmp_path: Path) -> None:
    progress = tmp_path / "progress.json"
    with (
        metrics_page(progress, "127.0.0.1:0") as port,
        pytest.raises(OptionError, match="cannot be bound"),
        metrics_page(progress, f"127.0.0.1:{port}"),
    ):
        pytest.fail("the port was free")
