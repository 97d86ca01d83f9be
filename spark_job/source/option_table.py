"""Declares the options of the sources ``flume``, ``access_log`` and ``json_events``: names, defaults and meanings.

:mod:`spark_job.source.options` reads Spark's map by these tables, the settings of the jobs take their defaults from
here (:mod:`spark_job.runner.job_settings`), and docs/reference/spark-options.md is generated from here. Nothing slow is
imported, because the help texts of the command line need this module.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from spark_job.options.spark_map import SparkOption

StartingWord = Literal["earliest", "latest", "committed"]
STARTING_WORDS: Final[tuple[StartingWord, ...]] = get_args(StartingWord)
"""Where a query without a checkpoint can start, if not at offsets."""
LOG_FORMATS: Final = ("common", "combined", "vhost_combined", "nginx_json")
"""The formats that have a name in :mod:`spark_job.parse.formats`, whose import would take a quarter of a second."""
URL_RULES: Final = ("path", "full", "template")
"""The rules of :mod:`spark_job.parse.urls`, for the same reason."""
TIMES: Final = ("event", "arrival")

SHARED_OPTIONS: Final = (
    SparkOption(
        "bridges",
        "comma list of `host:port`, the bridges' Flight addresses; IPv6 as `[::1]:port`",
        if_not_set="required",
    ),
    SparkOption(
        "consumer",
        "the name under which the bridges keep this query's position; one per query",
        if_not_set="(streams)",
    ),
    SparkOption(
        "startingOffsets",
        f'{", ".join(f"`{word}`" for word in STARTING_WORDS)}, or JSON `{{"<log id>": offset}}`',
        default="earliest",
    ),
    SparkOption("endingOffsets", 'batch reads only: `latest`, or JSON `{"<log id>": offset}`', default="latest"),
    SparkOption("maxEventsPerTrigger", "most events of one micro-batch, over all bridges", if_not_set="no limit"),
    SparkOption(
        "maxBytesPerTrigger",
        "the same in bytes, by the mean event size of each bridge; at least one event",
        if_not_set="no limit",
    ),
    SparkOption("minPartitions", "a hint: read in at least so many parts if so many events wait", default="1"),
    SparkOption(
        "failOnDataLoss", "fail if unread events are gone or damaged; false: log that and skip them", default="true"
    ),
    SparkOption(
        "commitOffsets",
        "streams only: tell the bridges which events are done; false: the program does that, and the offsets in "
        "`startingOffsets` count whatever the consumer has committed",
        default="true",
    ),
    SparkOption("bridgeTimeout", "how long to retry while a bridge does not answer", default="30s"),
    SparkOption("tls", "speak TLS; default true when `tlsRootCertificates` is set", if_not_set="see text"),
    SparkOption("tlsRootCertificates", "PEM file with the certificates to trust", if_not_set="system's"),
    SparkOption("tokenFile", "file with the bearer token; read again for every call"),
    SparkOption(
        "allowPlaintext",
        "send the token without TLS beyond this machine: for a private network only",
        default="false",
    ),
)
"""The options of every source."""

FLUME_OPTIONS: Final = (
    SparkOption("includeHeaders", "whether the events' headers are read (else the map is empty)", default="true"),
)
ACCESS_LOG_OPTIONS: Final = (
    SparkOption("logFormat", f"{', '.join(LOG_FORMATS)} or a LogFormat string", default="combined"),
    SparkOption("url", f"how a request becomes a URL: {', '.join(URL_RULES)}", default="path"),
    SparkOption("timezone", "zone of times that are logged without an offset", default="UTC"),
    SparkOption(
        "time",
        f"{' or '.join(TIMES)}: when the line says that it happened, or when the bridge received it",
        default="event",
        values=TIMES,
    ),
    SparkOption("rollup", "pane length; rows are counts per pane and URL instead of lines"),
)
JSON_EVENTS_OPTIONS: Final = (
    SparkOption("fields", "names and types, such as `device string, time timestamp`", if_not_set="required"),
    SparkOption("timeField", "the field that says when the event happened, for the audit", default="received"),
)
AUDIT_OPTIONS: Final = (
    SparkOption("audit", "folder for the number of lines read per pane, and for lines that are malformed or too old"),
    SparkOption("auditPane", "length of these panes; needed without `rollup`", if_not_set="rollup"),
)
"""The options of every source that reports which lines it read."""

GROUPS: Final = {
    "Options of every source": SHARED_OPTIONS,
    'Options of `format("flume")`': FLUME_OPTIONS,
    'Options of `format("access_log")`': ACCESS_LOG_OPTIONS,
    'Options of `format("json_events")`': JSON_EVENTS_OPTIONS,
    "Audit": AUDIT_OPTIONS,
}
"""All options, in the sections of the reference page."""


def default_of(name: str) -> str:
    """Return the default of an option as its text.

    Raises:
        LookupError: no option has this name, or the option has no default.
    """
    for option in (option for options in GROUPS.values() for option in options):
        if option.name == name and option.default is not None:
            return option.default
    raise LookupError(f"no option of the sources is called {name!r} and has a default")
