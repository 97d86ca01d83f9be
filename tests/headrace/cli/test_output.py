"""What the commands print of a snapshot, of findings and of jobs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from headrace.cli import output
from headrace.doctor import Finding
from headrace.job_status import JobStatus
from headrace.run_end import RunEnd
from headrace.status import AgentStatus, BridgeStatus, Snapshot

SNAPSHOT = Snapshot(
    AgentStatus(up=True, spool_files=2, spool_bytes=3 << 20, read=120, channel=0, channel_fill=0.25, sent=120,
                send_failures=4),
    BridgeStatus(up=True, log_id="L", acknowledged=120, stored=120, duplicates=0, dropped=0, first_offset=0,
                 next_offset=120, used_bytes=1 << 30, max_bytes=8 << 30, consumers={"url-counts": 20},
                 next_offsets={"L": 120}),
    JobStatus(up=True, read=100, lost=0, counted=97, malformed=2, late=1, positions={"L": 100}, batch_age_s=7.0,
              watermark="2015-01-05T08:00:00Z"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


def test_a_sound_snapshot_is_shown_with_its_counters_and_sums(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.show_snapshot(SNAPSHOT, "state", as_json=False) == 0
    shown = capsys.readouterr().out
    for text in (
        "2 files",
        "3.0 MiB waiting for the agent",
        "channel 25% full, 4 failed sends",
        "offsets 0 to 120, 1.0 GiB of 8.0 GiB, dropped 0",
        "url-counts: 20 not committed",
        "last micro-batch 7 s ago, watermark 2015-01-05T08:00:00Z",
        "\N{CHECK MARK}  acknowledged 120 = stored 120 + duplicates 0",
        "\N{CHECK MARK}  stored 120 = read 100 + lost 0 + waiting 20",
        "\N{CHECK MARK}  read 100 = counted 97 + malformed 2 + late 1",
    ):
        assert text in shown


def test_a_sum_that_does_not_hold_is_shown_with_its_difference_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    broken = replace(SNAPSHOT, job=replace(SNAPSHOT.job, counted=90))
    assert output.show_snapshot(broken, "state", as_json=False) == 1
    shown = capsys.readouterr().out
    assert "+7  read 100 \N{NOT EQUAL TO} counted 90 + malformed 2 + late 1" in shown
    assert "read differs by +7 from the sum of its parts" in shown


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (JobStatus(up=True, name="url-counts", counted=5, too_old=3), "malformed 1, too old 3"),
        (JobStatus(up=True, name="url-counts", counted=4, late=1, too_old=3), "malformed 1, late 1, too old 3"),
        (JobStatus(up=True, name="sessions", counted=8, late=0), "malformed 1, late 0"),
        (JobStatus(up=True, name="running-totals", counted=8), "malformed 1"),
    ],
)
def test_lines_that_are_not_counted_are_too_old_or_late_as_the_job_has_it(
    job: JobStatus, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = replace(SNAPSHOT, job=replace(job, read=9, malformed=1))
    output.show_snapshot(snapshot, "state", as_json=False)
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"job up read 9, {said}" in shown
    assert f"\N{CHECK MARK} read 9 = counted {job.counted} + {said.replace(', ', ' + ')}" in shown


def test_after_a_stop_the_jobs_sum_is_shown_and_nothing_is_down(capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = Snapshot(
        AgentStatus(up=False, spool_files=0, spool_bytes=0),
        BridgeStatus(up=False),
        replace(SNAPSHOT.job, up=False),
        end=RunEnd("2026-01-02T03:00:00Z", "2026-01-02T03:04:05Z", 0),
    )
    assert output.show_snapshot(snapshot, "state", as_json=False) == 0
    shown = capsys.readouterr().out
    assert "\N{CHECK MARK}  read 100 = counted 97 + malformed 2 + late 1\n" in shown
    assert shown.endswith("\nstopped at 2026-01-02T03:04:05Z, everything counted\n")
    assert shown.count(" stopped ") == 3
    assert "?" not in shown
    assert "down" not in shown
    assert output.show_snapshot(snapshot, "state", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["end"]["stopped"] == "2026-01-02T03:04:05Z"
    failed = replace(snapshot, end=RunEnd("", "2026-01-02T03:04:05Z", 7, 0, {"job": "was killed by signal 9"}))
    assert output.show_snapshot(failed, "state", as_json=False) == 1
    shown = capsys.readouterr().out
    assert "the job did not work when the run was stopped: it was killed by signal 9" in shown
    assert "job     failed " in shown


def test_json_has_every_counter_the_sums_and_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    down = replace(SNAPSHOT, job=JobStatus(up=False))
    assert output.show_snapshot(down, "state", as_json=True) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["faults"]) == ("state", ["the job is down"])
    assert shown["bridge"]["next_offsets"] == {"L": 120}
    assert [each["difference"] for each in shown["sums"]] == [0, None, None]


def test_an_error_text_of_the_job_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_snapshot(replace(SNAPSHOT, job=replace(SNAPSHOT.job, error="no\x1b[2J room")), "state", as_json=False)
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(("level", "code"), [("ok", 0), ("warning", 0), ("fault", 1)])
def test_only_a_fault_fails_the_doctor(capsys: pytest.CaptureFixture[str], level: str, code: int) -> None:
    finding = Finding("disk", level, "1.0 GiB free", "free some space")  # type: ignore[arg-type] # one of them
    assert output.show_findings([finding], as_json=False) == code
    assert "free some space" in capsys.readouterr().out
    assert output.show_findings([finding], as_json=True) == code
    assert json.loads(capsys.readouterr().out)[0]["level"] == level


def test_progress_off_a_terminal_is_one_line() -> None:
    said: list[str] = []
    with output.once_progress(said.append) as watcher:
        watcher.total(1234)
        watcher.moved(10, 5)
    assert said == ["sending 1,234 lines through agent, bridge and job"]
