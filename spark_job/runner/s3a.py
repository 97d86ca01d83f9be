"""Spark's settings for S3 through Hadoop's S3A file system.

S3A needs jars that Spark's wheel lacks: ``hadoop-aws`` and the AWS SDK, whose usual bundle has 500 MB. The parts in use
have 12 MB; ``headrace jars --s3a`` fetches them into a folder.

::

    credentials    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; or a profile of the shared file
                   (AWS_SHARED_CREDENTIALS_FILE, ~/.aws/credentials; AWS_PROFILE). Never an option, never in a URL.
    endpoint       --endpoint, or AWS_ENDPOINT_URL_S3, or AWS_ENDPOINT_URL; otherwise Amazon's own
    region         --region, or AWS_REGION, or AWS_DEFAULT_REGION; us-east-1

The processes that use the credentials read them, so in a cluster every worker must have them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from spark_job.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEME = "s3a://"
DEFAULT_REGION = "us-east-1"
CREDENTIALS = "spark.hadoop.fs.s3a.aws.credentials.provider"


def check_object_path(path: str) -> None:
    """Refuse a path that Spark would misread, or that contains a secret.

    Raises:
        OptionError: says what to write instead.
    """
    scheme = path.partition("://")[0].lower() if "://" in path else ""
    if scheme in ("s3", "s3n"):
        raise OptionError(f"--path {scheme}://...: Spark's name for S3 is s3a; write s3a://bucket/prefix")
    if scheme == "s3a":
        parts = urlsplit(path)
        if "@" in parts.netloc:
            raise OptionError(
                "--path s3a://...: everyone on this machine can see a key in a URL; put it into the environment "
                "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or the shared credentials file"
            )
        if not parts.netloc:
            raise OptionError(f"--path {path}: names no bucket; write s3a://bucket/prefix")


def check_endpoint(endpoint: str) -> None:
    """Refuse an endpoint that is not the URL of a server.

    Raises:
        OptionError: says what to write instead.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OptionError("--endpoint: write it like http://127.0.0.1:9000 or https://s3.example.net")
    if parts.username is not None or parts.password is not None:
        raise OptionError("--endpoint: it must contain no key; put that into the environment")


def s3a_settings(
    jars: Path | None,
    endpoint: str | None,
    region: str | None,
    *,
    path_style: bool,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Return the settings of Spark for S3; they take effect only if Java has not started yet.

    Args:
        jars: folder of the jars.
        endpoint: URL of the server; None: the environment's, or Amazon's.
        region: None: the environment's, or a default that servers other than Amazon's ignore.
        path_style: the bucket is part of the path, not of the host name.
        environment: the source of everything else.

    Raises:
        OptionError: the jars or the credentials are missing, or the endpoint is not a URL.
    """
    found = sorted(jars.glob("*.jar")) if jars is not None else []
    if not found:
        raise OptionError(f"--s3a-jars {jars}: S3 needs jars that Spark lacks; `headrace jars --s3a` fetches them")
    address = endpoint or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    settings = {
        "spark.jars": ",".join(map(str, found)),
        "spark.hadoop.fs.s3a.endpoint.region": (
            region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
        ),
        "spark.hadoop.fs.s3a.path.style.access": str(path_style).lower(),
    }
    settings |= _credentials(environment)
    if address:
        check_endpoint(address)
        settings["spark.hadoop.fs.s3a.endpoint"] = address
        settings["spark.hadoop.fs.s3a.connection.ssl.enabled"] = str(address.startswith("https")).lower()
    return settings


def _credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """Return where the credentials are, never the credentials themselves."""
    if environment.get("AWS_ACCESS_KEY_ID") and environment.get("AWS_SECRET_ACCESS_KEY"):
        return {CREDENTIALS: "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider"}
    shared = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    if not shared.is_file():
        raise OptionError(
            "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put a profile into "
            f"{shared} (AWS_SHARED_CREDENTIALS_FILE names another file, AWS_PROFILE another profile)"
        )
    return {
        CREDENTIALS: "org.apache.hadoop.fs.s3a.auth.ProfileAWSCredentialsProvider",
        "spark.hadoop.fs.s3a.auth.profile.file": str(shared),
        "spark.hadoop.fs.s3a.auth.profile.name": environment.get("AWS_PROFILE") or "default",
    }
