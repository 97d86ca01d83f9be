"""The image has compiled kernels, and does with Spark's word ``driver`` what Spark on Kubernetes expects."""

from __future__ import annotations

import subprocess
import tomllib
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support.kernel_hits import KERNEL_HITS, hits_of, kernels_in_the_source
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
HARDENED = ("--read-only", "--tmpfs=/tmp:exec,size=512m", "--cap-drop=ALL", "--security-opt=no-new-privileges")
SET_BY_SPARK = ("--env=SPARK_DRIVER_BIND_ADDRESS=127.0.0.1", "--env=SPARK_CONF_DIR=/opt/spark/conf")


def docker(*arguments: str) -> str:
    ended = subprocess.run(["docker", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """The image, built on a Spark image of this tree."""
    mark = uuid.uuid4().hex[:8]
    base, made = f"headrace-spark:{VERSION}-{mark}", f"headrace-spark-k8s:{VERSION}-{mark}"
    docker("build", "--quiet", "--file=docker/Dockerfile", "--target=spark", f"--tag={base}", ".")
    docker("build", "--quiet", f"--build-arg=SPARK_IMAGE={base}", f"--tag={made}", "docker/k8s")
    yield made
    docker("image", "rm", made, base)


def test_the_driver_is_the_job_below_spark_submit(image: str) -> None:
    given = ["--conf", "spark.master=local[1]", "--class", "org.apache.spark.deploy.PythonRunner"]
    job = ["local:///opt/headrace/k8s/job.py", "url-counts", "--help"]
    said = docker("run", "--rm", *HARDENED, *SET_BY_SPARK, image, "driver", *given, *job)
    assert "--job-folder" in said


def test_every_kernel_is_loaded_from_the_image_by_an_account_that_cannot_write(image: str) -> None:
    hits = hits_of(docker("run", "--rm", *HARDENED, image, "python", "-c", KERNEL_HITS))
    assert hits.keys() == kernels_in_the_source()
    assert set(hits.values()) == {"1"}


def test_any_other_word_is_a_command(image: str) -> None:
    assert docker("run", "--rm", *HARDENED, image, "id", "-u") == "10001\n"
