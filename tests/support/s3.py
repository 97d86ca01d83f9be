"""A real S3 server in a process of its own. It keeps objects in memory, so an outage is a stop, not an end."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import psutil
import requests

from tests.support.ports import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_TIMEOUT_S = 60.0
ACCESS_KEY, SECRET_KEY = "made-up-key", "made-up-secret"


@dataclass
class S3Server:
    """The server and its only bucket."""

    url: str
    bucket: str
    process: psutil.Popen

    def put(self, name: str, body: bytes) -> None:
        """Store an object, whole, as S3 does."""
        self._client().put_object(Bucket=self.bucket, Key=name, Body=body)

    def path(self, prefix: str = "") -> str:
        """Return the path that Spark is given."""
        return f"s3a://{self.bucket}/{prefix}"

    def environment(self) -> dict[str, str]:
        """Return what a process needs to find the server and to be let in, as is usual for S3."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Let the server hang: connections stay open and nothing is answered."""
        self.process.suspend()
        try:
            yield
        finally:
            self.process.resume()

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )


@contextmanager
def s3_server(folder: Path, bucket: str = "events") -> Iterator[S3Server]:
    """Start a server with an empty bucket; its log goes into ``folder``."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "s3.log").open("wb") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = psutil.Popen(command, stdout=log, stderr=log, env=dict(os.environ))
    try:
        wait_until(lambda: _answers(url), START_TIMEOUT_S, "the S3 server to answer")
        server = S3Server(url, bucket, process)
        server._client().create_bucket(Bucket=bucket)
        yield server
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code < 500
    except requests.ConnectionError:
        return False
