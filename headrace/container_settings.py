"""Every setting of the containers: its name, its default, and what it means. The one place where they are written.

Read by the commands of this machine (:mod:`headrace.containers`), by the services in the containers
(:mod:`headrace.services`), and by ``docker/generate.py``, which writes ``docker/.env.example``, the defaults in
``docker/compose.yaml`` and the reference page from it. Imports the standard library only, since ``make up`` needs a
Python and nothing else.

A setting that is an option of the job or of the bridge has no default here: where it is empty, the option is left out,
and the default of the job's or the bridge's own model holds (:data:`OF_THE_JOB`, :data:`OF_THE_BRIDGE`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Setting:
    """One variable.

    Attributes:
        name: of the environment variable.
        default: its value where nobody sets it; empty where the machine or the job decides.
        meaning: one sentence, without its full stop.
        reason: why it is as it is, or what follows from another value.
        in_compose: what compose takes where the variable is empty, if that is not the default: for whoever calls
            compose without the commands that compute the value.
    """

    name: str
    default: str
    meaning: str
    reason: str = ""
    in_compose: str | None = None

    @property
    def fallback(self) -> str:
        """The value where the variable is empty and no command has computed one."""
        return self.default if self.in_compose is None else self.in_compose


@dataclass(frozen=True)
class Section:
    """Settings that belong together."""

    title: str
    settings: tuple[Setting, ...]


OF_THE_JOB: Final = {
    "HEADRACE_WINDOW": "window",
    "HEADRACE_SLIDE": "slide",
    "HEADRACE_KEEP": "keep",
    "HEADRACE_MAX_ROWS": "max-rows",
    "HEADRACE_TIME": "time",
    "HEADRACE_FORMAT": "format",
    "HEADRACE_URL": "url",
    "HEADRACE_TIMEZONE": "timezone",
    "HEADRACE_TOP": "top",
    "HEADRACE_TRIGGER": "trigger",
    "HEADRACE_MAX_EVENTS": "max-events",
}
"""Variables that are options of the job ``url-counts``, by the option's name."""

OF_THE_BRIDGE: Final = {"HEADRACE_LOG_MAX_BYTES": "log.max_bytes"}
"""Variables that are settings of the bridge, by section and key."""

REMOVED: Final = {
    "HEADRACE_WATERMARK": "URL counts have no watermark any more, every line counts however old it is; remove the "
    "variable. To close old windows, see HEADRACE_KEEP and HEADRACE_MAX_ROWS",
}
"""Variables that earlier versions had, and for each what to do instead."""

_ON_THIS_MACHINE = Section(
    "Where things are on this machine",
    (
        Setting(
            "COMPOSE_PROJECT_NAME",
            "headrace",
            "Names containers, networks and volumes",
            "Another name is another pipeline beside the first: give it other ports too.",
        ),
        Setting(
            "COMPOSE_PROFILES",
            "",
            "Further services, comma-separated: metrics (Prometheus with rules), history (Spark's history server, and "
            "the event log that it reads), postgres (a PostgreSQL that keeps the counts)",
            "None by default: they cost memory and disk that counting does not need.",
        ),
        Setting(
            "PUID",
            "",
            "User id of everything in the containers",
            "Empty: the account that calls `make up`, so that files in folders of this machine are its own; for root, "
            "the account that called sudo, else 10001, since nothing here needs root.",
            in_compose="10001",
        ),
        Setting("PGID", "", "Group id of everything in the containers", in_compose="10001"),
        Setting(
            "HEADRACE_SPOOL",
            "",
            "Folder where files are handed over, seen from docker/; the agent deletes what it has read",
            "Empty: `containers/spool`.",
            in_compose="../containers/spool",
        ),
        Setting(
            "HEADRACE_OUT",
            "",
            "Folder for sinks that write files; the driver sees it as /out",
            "Empty: `containers/out`.",
            in_compose="../containers/out",
        ),
        Setting(
            "HEADRACE_SECRETS",
            "",
            "Folder of the bridges' token, Spark's shared secret and the database's password, made at the first start",
            "Empty: `containers/secrets`.",
            in_compose="../containers/secrets",
        ),
        Setting(
            "HEADRACE_MASTER_UI_PORT",
            "8080",
            "Port of Spark's master",
            "All ports are on 127.0.0.1, since none of the pages asks who is there.",
        ),
        Setting("HEADRACE_HISTORY_PORT", "18080", "Port of Spark's history server"),
        Setting("HEADRACE_PROMETHEUS_PORT", "9090", "Port of Prometheus's pages"),
        Setting("HEADRACE_POSTGRES_PORT", "5432", "Port of the PostgreSQL server"),
        Setting(
            "HEADRACE_BASE_IMAGE",
            "debian:bookworm-slim",
            "What the images are built on: Debian 12 or what is made of it, since packages come by apt",
            "A site whose machines install packages from a mirror gives an image that has its configuration.",
        ),
    ),
)

_COUNTED = Section(
    "What is counted",
    (
        Setting("HEADRACE_WINDOW", "", "Length of a window"),
        Setting("HEADRACE_SLIDE", "", "Time between the starts of two windows", "Empty: the window, so none overlap."),
        Setting(
            "HEADRACE_KEEP",
            "",
            "How long windows stay in the table, counted from now, for example 400d; older lines do not count",
            "Empty: for ever, so logs of any age count.",
        ),
        Setting(
            "HEADRACE_MAX_ROWS",
            "",
            "Most rows of the table; the oldest windows leave first, and their lines do not count any more",
            "A row is a URL in a window. It bounds the table on disk; 0: no limit.",
        ),
        Setting("HEADRACE_TIME", "", "event (the time in the line) or arrival (at the bridge)"),
        Setting("HEADRACE_FORMAT", "", "common, combined, vhost_combined, nginx_json, or an Apache LogFormat string"),
        Setting("HEADRACE_URL", "", "path (without the query), full, or template (numbers and UUIDs collapsed)"),
        Setting("HEADRACE_TIMEZONE", "", "Zone of times that are logged without one"),
        Setting("HEADRACE_TOP", "", "URLs of a window on the console, which `make counts` follows"),
        Setting(
            "HEADRACE_SINKS",
            "console",
            "Where counts go, comma-separated: console, jsonl:/out/NAME.jsonl, parquet:/out/NAME",
            "The file sinks hold the whole table and are rewritten as it changes: right for thousands of rows, "
            "wasteful for millions.",
        ),
        Setting(
            "HEADRACE_DATABASE",
            "",
            "Database that keeps the counts beside the sinks, as a URL without a password: postgresql://user@host/db, "
            "mariadb://user@host/db",
            "Its password is the first line of the secret `database-password`. Empty: with the profile postgres that "
            "one, else none.",
        ),
        Setting(
            "HEADRACE_TRIGGER",
            "",
            "Time between two micro-batches",
            "Shorter shows lines sooner, longer costs less.",
        ),
        Setting(
            "HEADRACE_MAX_EVENTS",
            "",
            "Lines of one micro-batch at most",
            "It bounds the memory of a micro-batch after a long stop.",
        ),
        Setting(
            "HEADRACE_STALL_AFTER",
            "2m",
            "The job ends, and is started again, when lines wait and no micro-batch has ended for so long",
            "A driver that waits for a cluster that has forgotten it does nothing else about it.",
        ),
    ),
)

_SIZES = Section(
    "How much of what",
    (
        Setting(
            "HEADRACE_BRIDGES",
            "",
            "The bridges, as names in the network",
            "Empty: `make up` and `make scale` fill it in, one name for each bridge.",
            in_compose="bridge",
        ),
        Setting(
            "HEADRACE_LOG_MAX_BYTES",
            "",
            "Cap of each bridge's log in bytes",
            "When it is reached, Flume waits, and files wait in the spool folder.",
        ),
        Setting(
            "HEADRACE_AGENT_HEAP_MIB",
            "256",
            "Flume's Java heap",
            "The file channel keeps events on disk and needs less than a memory channel would.",
        ),
        Setting(
            "HEADRACE_WORKER_CORES",
            "2",
            "Cores that a worker offers to Spark",
            "They need not be the machine's: a reader also waits for the network.",
        ),
        Setting("HEADRACE_WORKER_MEMORY", "1g", "Memory that a worker offers to Spark"),
        Setting("HEADRACE_EXECUTOR_CORES", "2", "Cores that an executor takes of a worker"),
        Setting(
            "HEADRACE_EXECUTOR_MEMORY",
            "512m",
            "Java heap of an executor",
            "One that no worker has room for never starts.",
        ),
        Setting(
            "HEADRACE_DRIVER_MEMORY",
            "768m",
            "The driver's Java heap",
            "The driver plans the micro-batches and takes the changed rows of each.",
        ),
        Setting(
            "HEADRACE_AGENT_LIMIT",
            "640m",
            "Memory limit of the agent's container; above it the container is killed",
            "A limit holds the heaps in a container, Java's own memory beside them (some 200 MB a process), and "
            "Python's workers (some 150 MB a core in use).",
        ),
        Setting("HEADRACE_BRIDGE_LIMIT", "768m", "Memory limit of a bridge's container"),
        Setting("HEADRACE_MASTER_LIMIT", "512m", "Memory limit of the master's container"),
        Setting("HEADRACE_WORKER_LIMIT", "2g", "Memory limit of a worker's container"),
        Setting("HEADRACE_DRIVER_LIMIT", "1800m", "Memory limit of the driver's container"),
        Setting("HEADRACE_HISTORY_LIMIT", "640m", "Memory limit of the history server's container"),
        Setting("HEADRACE_PROMETHEUS_LIMIT", "256m", "Memory limit of Prometheus's container"),
        Setting("HEADRACE_POSTGRES_LIMIT", "256m", "Memory limit of PostgreSQL's container"),
        Setting(
            "HEADRACE_SCRATCH",
            "512m",
            "Size of /tmp in the Spark containers, for shuffled rows and unpacked libraries",
            "It is memory, and counts towards their limits.",
        ),
    ),
)

SECTIONS: Final = (_ON_THIS_MACHINE, _COUNTED, _SIZES)
SETTINGS: Final = {setting.name: setting for section in SECTIONS for setting in section.settings}
