"""The options of all sources: their values, and the text of each refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql.datasource import CaseInsensitiveDict

from spark_job.errors import OptionError
from spark_job.source.options import (
    Address,
    AuditOptions,
    Security,
    StartingOffsets,
    check_for_batch,
    check_for_stream,
    parse_access_log_options,
    parse_flume_options,
)

BRIDGE = {"bridges": "127.0.0.1:4142"}


def test_what_is_not_given_has_its_default() -> None:
    options = parse_flume_options(BRIDGE)
    assert options.bridges == (Address("127.0.0.1", 4142),)
    assert options.security == Security()
    assert options.consumer is None
    assert options.starting == StartingOffsets("earliest")
    assert options.ending is None
    assert options.max_events_per_trigger is None
    assert options.max_bytes_per_trigger is None
    assert options.min_partitions == 1
    assert options.fail_on_data_loss is True
    assert options.include_headers is True
    assert options.bridge_timeout_s == 30


def test_names_are_case_insensitive_as_in_spark() -> None:
    given = CaseInsensitiveDict({"BRIDGES": "a:1, [::1]:2", "MaxEventsPerTrigger": "5", "failondataloss": "FALSE"})
    options = parse_flume_options(given)
    assert options.bridges == (Address("a", 1), Address("::1", 2))
    assert [str(address) for address in options.bridges] == ["a:1", "[::1]:2"]
    assert options.max_events_per_trigger == 5
    assert options.fail_on_data_loss is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latest", StartingOffsets("latest")),
        (" Committed ", StartingOffsets("committed")),
        ('{"b": 3, "a": "latest"}', StartingOffsets("earliest", (("a", "latest"), ("b", 3)))),
    ],
)
def test_starting_offsets(text: str, expected: StartingOffsets) -> None:
    assert parse_flume_options(BRIDGE | {"startingOffsets": text}).starting == expected


def test_access_log_options() -> None:
    options = parse_access_log_options(
        BRIDGE | {"rollup": "5 minutes", "audit": "/tmp/a", "time": "arrival", "logFormat": "common", "url": "full"}
    )
    assert options.rollup_us == 300_000_000
    assert options.arrival_time
    assert (options.log_format, options.url, options.timezone) == ("common", "full", "UTC")
    assert options.audit == AuditOptions(Path("/tmp/a"), 300_000_000)
    assert not options.flume.include_headers


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "option bridges is missing"),
        ({"bridge": "a:1"}, "unknown option 'bridge'; did you mean 'bridges'"),
        (BRIDGE | {"startOffsets": "latest"}, "'startOffsets'; did you mean 'startingOffsets'"),
        (BRIDGE | {"token": "secret"}, "use tokenFile"),
        ({"bridges": " , "}, "bridges=' , ': a comma list of host:port"),
        ({"bridges": "a"}, "'a' is not host:port"),
        ({"bridges": "a:0"}, "'a:0' is not host:port"),
        ({"bridges": "a:65536"}, "'a:65536' is not host:port"),
        ({"bridges": "::1:4142"}, "'::1:4142' is not host:port"),
        ({"bridges": "a:1,a:1"}, "an address is named twice"),
        (BRIDGE | {"consumer": ""}, "consumer='': a printable name"),
        (BRIDGE | {"consumer": "a\nb"}, "a printable name"),
        (BRIDGE | {"consumer": "é" * 101}, "1 to 200 bytes"),
        (BRIDGE | {"startingOffsets": "newest"}, "startingOffsets='newest': earliest, latest, committed, or JSON"),
        (BRIDGE | {"startingOffsets": '{"a": -1}'}, "or JSON such as"),
        (BRIDGE | {"startingOffsets": '{"a": true}'}, "or JSON such as"),
        (BRIDGE | {"startingOffsets": "[1]"}, "or JSON such as"),
        (BRIDGE | {"endingOffsets": "earliest"}, "endingOffsets='earliest': latest, or JSON"),
        (BRIDGE | {"maxEventsPerTrigger": "0"}, "maxEventsPerTrigger='0': a whole number above 0"),
        (BRIDGE | {"maxBytesPerTrigger": "1k"}, "maxBytesPerTrigger='1k': a whole number above 0"),
        (BRIDGE | {"minPartitions": "-1"}, "minPartitions='-1': a whole number above 0"),
        (BRIDGE | {"failOnDataLoss": "no"}, "failOnDataLoss='no': true or false"),
        (BRIDGE | {"bridgeTimeout": "soon"}, "bridgeTimeout='soon': "),
        (BRIDGE | {"tlsRootCertificates": "/no/such.pem"}, "tlsRootCertificates='/no/such.pem': no such file"),
    ],
)
def test_refusals_name_option_and_value(options: dict[str, str], text: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_flume_options(options)
    assert text in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (BRIDGE | {"includeHeaders": "true"}, "unknown option 'includeHeaders'"),
        (BRIDGE | {"rollup": "0s"}, "rollup='0s': "),
        (BRIDGE | {"rollup": "1 month"}, "rollup='1 month': "),
        (BRIDGE | {"audit": "/tmp/a"}, "set option auditPane too"),
        (BRIDGE | {"time": "ingest"}, "time='ingest': one of event, arrival"),
    ],
)
def test_refusals_of_access_log(options: dict[str, str], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        parse_access_log_options(options)


def test_the_token_is_never_part_of_the_options(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("very-secret")
    options = parse_flume_options(BRIDGE | {"tokenFile": str(file)})
    assert options.security.token_file == file
    assert "very-secret" not in repr(options)


def test_a_token_does_not_cross_a_network_unencrypted(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("very-secret")
    beyond = {"bridges": "localhost:1,[::1]:2,bridge.example:3", "tokenFile": str(file)}
    with pytest.raises(OptionError, match="without TLS the token would cross the network unencrypted"):
        parse_flume_options(beyond)
    assert parse_flume_options(beyond | {"tls": "true"}).security.tls
    assert parse_flume_options(beyond | {"allowPlaintext": "true"}).security == Security(token_file=file)


def test_a_root_certificate_means_tls(tmp_path: Path) -> None:
    file = tmp_path / "roots.pem"
    file.write_text("")
    assert parse_flume_options(BRIDGE | {"tlsRootCertificates": str(file)}).security.tls
    with pytest.raises(OptionError, match="contradicts"):
        parse_flume_options(BRIDGE | {"tlsRootCertificates": str(file), "tls": "false"})


def test_a_stream_needs_a_consumer_and_has_no_end() -> None:
    with pytest.raises(OptionError, match="option consumer is missing"):
        check_for_stream(parse_flume_options(BRIDGE))
    with pytest.raises(OptionError, match="endingOffsets is for batch reads"):
        check_for_stream(parse_flume_options(BRIDGE | {"consumer": "q", "endingOffsets": '{"a": 1}'}))
    check_for_stream(parse_flume_options(BRIDGE | {"consumer": "q"}))


def test_a_batch_read_from_latest_is_refused() -> None:
    with pytest.raises(OptionError, match="always empty"):
        check_for_batch(parse_flume_options(BRIDGE | {"startingOffsets": "latest"}))
    with pytest.raises(OptionError, match="it says whose offsets are meant"):
        check_for_batch(parse_flume_options(BRIDGE | {"startingOffsets": "committed"}))
    check_for_batch(parse_flume_options(BRIDGE))
