"""The containers of the Spark cluster: writes one ``spark-defaults.conf`` for all, and executes their programs.

Addresses are names of services, since a restarted container may have another IP address: so a worker finds a restarted
master, and executors find the driver. The ports of driver and block managers are fixed, so that a firewall between
hosts can allow them.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from headrace.common.bridge_defaults import FLIGHT_PORT
from headrace.common.files import PRIVATE_MODE, replace_file
from headrace.container_settings import OF_THE_JOB
from headrace.services.environment import (
    BLOCK_MANAGER_PORT,
    DRIVER_HOST,
    DRIVER_PORT,
    DRIVER_UI_PORT,
    HISTORY_PORT,
    JOB_METRICS_PORT,
    MASTER_HOST,
    MASTER_PORT,
    MASTER_UI_PORT,
    PASSWORD_FILE,
    SPARK_SECRET_FILE,
    TOKEN_FILE,
    WORKER_UI_PORT,
    bridges,
    database,
    profiles,
    read,
    refuse_removed,
)

CONF_DIR = Path("/tmp/spark-conf")  # noqa: S108 - a tmpfs of this container alone
RECOVERY, EVENTS, JOB_FOLDER = "/data/recovery", "/data/events", "/data/job"
WORK_DIR = "/tmp/work"  # noqa: S108 - a tmpfs of this container alone
LOGGING = Path(__file__).with_name("log4j2.properties")
MASTER_URL = f"spark://{MASTER_HOST}:{MASTER_PORT}"
DAY_S = 86_400
DAEMON_MEMORY = "256m"
"""The Java heap of master, worker and history server; the settings below bound what they keep."""


def defaults(secret: str) -> dict[str, str]:
    """Return the content of ``spark-defaults.conf``: settings of cluster, application and event log."""
    return _cluster_settings(secret) | _application_settings() | _event_log_settings()


def _cluster_settings(secret: str) -> dict[str, str]:
    return {
        "spark.authenticate": "true",
        "spark.authenticate.secret": secret,
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": RECOVERY,
        # Executors are lost with their workers. By default the tenth lost executor ends the application.
        "spark.deploy.maxExecutorRetries": "-1",
        "spark.deploy.retainedApplications": "20",
        "spark.deploy.retainedDrivers": "20",
        # Seconds without a heartbeat after which a worker counts as lost.
        "spark.worker.timeout": "20",
        "spark.worker.cleanup.enabled": "true",
        "spark.worker.cleanup.interval": "1800",
        "spark.worker.cleanup.appDataTtl": str(DAY_S),
        # Only the master's port is published; its page is the proxy for the pages of workers and driver.
        "spark.ui.reverseProxy": "true",
    }


def _application_settings() -> dict[str, str]:
    # As in runner/session.py: the heavy work is done outside of Java, and threads of collector and compiler compete
    # with it.
    on_executors = f"-Dlog4j2.configurationFile=file:{LOGGING} -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    return {
        "spark.driver.host": DRIVER_HOST,
        "spark.driver.bindAddress": "0.0.0.0",  # noqa: S104
        "spark.driver.port": str(DRIVER_PORT),
        "spark.blockManager.port": str(BLOCK_MANAGER_PORT),
        "spark.port.maxRetries": "16",
        "spark.executor.memory": read("HEADRACE_EXECUTOR_MEMORY"),
        "spark.executor.cores": read("HEADRACE_EXECUTOR_CORES"),
        "spark.executor.extraJavaOptions": on_executors,
        "spark.executor.logs.rolling.strategy": "size",
        "spark.executor.logs.rolling.maxSize": str(4 << 20),
        "spark.executor.logs.rolling.maxRetainedFiles": "2",
        # Half of Spark's default: the tasks of an executor that is gone run elsewhere after a minute.
        "spark.network.timeout": "60s",
        "spark.executor.heartbeatInterval": "5s",
        # A task is retried when its worker is killed, and workers may be killed more than once.
        "spark.task.maxFailures": "8",
        "spark.ui.enabled": "true",
        "spark.ui.port": str(DRIVER_UI_PORT),
        "spark.ui.retainedJobs": "100",
        "spark.ui.retainedStages": "100",
        "spark.ui.retainedTasks": "1000",
        "spark.sql.ui.retainedExecutions": "20",
        "spark.sql.streaming.metricsEnabled": "true",
        "spark.metrics.namespace": "headrace",
        "spark.metrics.conf.*.sink.prometheusServlet.class": "org.apache.spark.metrics.sink.PrometheusServlet",
        "spark.metrics.conf.*.sink.prometheusServlet.path": "/metrics/prometheus",
        # The master has two metrics instances; on one path, one would hide the other.
        "spark.metrics.conf.master.sink.prometheusServlet.path": "/metrics/master/prometheus",
        "spark.metrics.conf.applications.sink.prometheusServlet.path": "/metrics/applications/prometheus",
    }


def _event_log_settings() -> dict[str, str]:
    return {
        "spark.eventLog.enabled": "true" if "history" in profiles() else "false",
        "spark.eventLog.dir": f"file:{EVENTS}",
        "spark.eventLog.rolling.enabled": "true",
        "spark.eventLog.rolling.maxFileSize": "32m",
        "spark.history.fs.logDirectory": f"file:{EVENTS}",
        "spark.history.fs.cleaner.enabled": "true",
        "spark.history.fs.cleaner.maxAge": "7d",
        "spark.history.fs.eventLog.rolling.maxFilesToRetain": "2",
        "spark.history.ui.port": str(HISTORY_PORT),
    }


def write_defaults() -> None:
    """Write ``spark-defaults.conf`` where Spark reads it; it has the secret, so only this account may read it."""
    secret = Path(SPARK_SECRET_FILE).read_text(encoding="ascii").strip()
    CONF_DIR.mkdir(exist_ok=True)
    text = "".join(f"{key} {value}\n" for key, value in defaults(secret).items())
    replace_file(CONF_DIR / "spark-defaults.conf", text.encode(), mode=PRIVATE_MODE)


def run_master() -> None:
    """Execute the master in place of this process; does not return."""
    arguments = ["--host", MASTER_HOST, "--port", str(MASTER_PORT), "--webui-port", str(MASTER_UI_PORT)]
    _execute("org.apache.spark.deploy.master.Master", arguments)


def run_worker() -> None:
    """Execute a worker in place of this process; does not return."""
    arguments = ["--host", _address_towards(MASTER_HOST), "--webui-port", str(WORKER_UI_PORT), "--work-dir", WORK_DIR]
    arguments += ["--cores", read("HEADRACE_WORKER_CORES"), "--memory", read("HEADRACE_WORKER_MEMORY")]
    _execute("org.apache.spark.deploy.worker.Worker", [*arguments, MASTER_URL])


def run_history() -> None:
    """Execute the history server in place of this process; does not return."""
    _execute("org.apache.spark.deploy.history.HistoryServer", [])


def run_driver() -> None:
    """Execute the job in place of this process; does not return."""
    write_defaults()
    command = driver_command()
    os.execvp(command[0], command)  # noqa: S606 - every word is ours or the operator's


def driver_command() -> list[str]:
    """Return the command of the job.

    Raises:
        ValueError: a variable is set that was removed.
    """
    refuse_removed()
    options = {
        "bridges": ",".join(f"{host}:{FLIGHT_PORT}" for host in bridges()),
        "token-file": TOKEN_FILE,
        "job-folder": JOB_FOLDER,
        "metrics": f"0.0.0.0:{JOB_METRICS_PORT}",
        "master": MASTER_URL,
        "driver-memory": read("HEADRACE_DRIVER_MEMORY"),
        "stall-after": read("HEADRACE_STALL_AFTER"),
    }
    # An option that nobody set is left out, so that the job's own default holds.
    options |= {option: read(name) for name, option in OF_THE_JOB.items() if read(name)}
    sinks = [f"--sink={sink.strip()}" for sink in read("HEADRACE_SINKS").split(",") if sink.strip()]
    if database():
        sinks += [f"--sink={database()}", f"--password-file={PASSWORD_FILE}"]
    named = [f"--{name}={value}" for name, value in options.items()]
    # Not by spark-submit: Python must be the parent of Java, so that Python gets the signal to stop.
    return ["python", "-m", "spark_job", "url-counts", "--allow-plaintext", *named, *sinks]


def _execute(main_class: str, arguments: list[str]) -> None:
    import pyspark

    write_defaults()
    options = f"-Dlog4j2.configurationFile=file:{LOGGING} -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    # A daemon without memory must end, or the engine does not start it again.
    os.environ["SPARK_DAEMON_JAVA_OPTS"] = f"{options} -XX:+ExitOnOutOfMemoryError"
    os.environ["SPARK_DAEMON_MEMORY"] = DAEMON_MEMORY
    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    launcher = str(Path(os.environ["SPARK_HOME"]) / "bin" / "spark-class")
    # In place of this process: Java gets the container's signals, and its exit code is the container's.
    os.execv(launcher, [launcher, main_class, *arguments])  # noqa: S606 - every word is ours or the operator's


def _address_towards(host: str) -> str:
    """Return this container's address in the network of ``host``.

    A worker is in two networks and binds one address, which the master must reach. Connecting a UDP socket chooses the
    address; it sends nothing.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, MASTER_PORT))
        return str(probe.getsockname()[0])
