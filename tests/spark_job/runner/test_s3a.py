"""Spark's settings for S3: where the credentials are, never what they are; refusals that repeat no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.runner.s3a import check_endpoint, check_object_path, s3a_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_spark_is_told_where_credentials_are_and_never_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "hadoop-aws.jar").touch()
    environment = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_ENDPOINT_URL_S3": "http://h:1"}
    found = s3a_settings(tmp_path, None, None, path_style=True, environment=environment)
    assert not {"KEY", "SECRET"} & set(found.values())
    assert found["spark.hadoop.fs.s3a.endpoint"] == "http://h:1"
    assert found["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"
    assert found["spark.hadoop.fs.s3a.path.style.access"] == "true"
    shared = tmp_path / "credentials"
    shared.write_text("[default]\n", encoding="utf-8")
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(shared), "AWS_PROFILE": "mine", "AWS_REGION": "eu-central-1"}
    found = s3a_settings(tmp_path, "https://s3.example.net", None, path_style=False, environment=environment)
    assert found["spark.hadoop.fs.s3a.auth.profile.file"] == str(shared)
    assert found["spark.hadoop.fs.s3a.auth.profile.name"] == "mine"
    assert found["spark.hadoop.fs.s3a.endpoint.region"] == "eu-central-1"
    assert found["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "true"


@pytest.mark.parametrize("jars", [None, "empty"])
def test_missing_jars_and_credentials_are_said(jars: str | None, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="`headrace jars --s3a` fetches them"):
        s3a_settings(tmp_path / jars if jars else None, None, None, path_style=False, environment={})
    (tmp_path / "x.jar").touch()
    nothing = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    with pytest.raises(OptionError, match="no credentials for S3: set AWS_ACCESS_KEY_ID"):
        s3a_settings(tmp_path, None, None, path_style=False, environment=nothing)


@pytest.mark.parametrize("path", ["s3a://bucket", "s3a://bucket/a/b", "/folder", "folder/s3", "file:///folder"])
def test_a_path_that_spark_understands_is_taken(path: str) -> None:
    check_object_path(path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("S3://bucket", "s3a://bucket/prefix"),
        ("s3n://bucket", "Spark's name for S3 is s3a"),
        ("s3a://KEY:hidden@bucket", "environment"),
        ("s3a://", "names no bucket"),
    ],
)
def test_a_path_that_spark_would_misread_is_refused(path: str, said: str) -> None:
    with pytest.raises(OptionError, match=said) as refused:
        check_object_path(path)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("endpoint", ["localhost:9000", "ftp://host", "http://", "http://KEY:hidden@host"])
def test_an_endpoint_is_a_url_without_a_key(endpoint: str) -> None:
    with pytest.raises(OptionError, match="--endpoint") as refused:
        check_endpoint(endpoint)
    assert "hidden" not in str(refused.value)
    check_endpoint("https://s3.example.net:9000")
