"""The containers of the Spark cluster: one ``spark-defaults.conf`` for all of them, and the commands they become.

The addresses are names of services, since a container that comes back may have another address: a worker finds a
restarted master again, and executors the driver. Ports of driver and block managers are fixed, so that a firewall
between hosts could name them.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from headrace.container_settings import OF_THE_JOB
from headrace.services.environment import (
    BLOCK_MANAGER_PORT,
    DRIVER_HOST,
    DRIVER_PORT,
    DRIVER_UI_PORT,
    FLIGHT_PORT,
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
)

CONF_DIR = Path("/tmp/spark-conf")  # noqa: S108 - a tmpfs of this container alone
RECOVERY, EVENTS, JOB_FOLDER = "/data/recovery", "/data/events", "/data/job"
WORK_DIR = "/tmp/work"  # noqa: S108 - a tmpfs of this container alone
LOGGING = Path(__file__).with_name("log4j2.properties")
MASTER_URL = f"spark://{MASTER_HOST}:{MASTER_PORT}"
DAY_S = 86_400
DAEMON_MEMORY = "256m"
"""The Java heap of master, worker and history server; what they keep is bounded above."""


def defaults(secret: str) -> dict[str, str]:
    """Return what all of the cluster is configured with: cluster, application, history."""
    return _of_cluster(secret) | _of_application() | _of_history()


def _of_cluster(secret: str) -> dict[str, str]:
    return {
        "spark.authenticate": "true",
        "spark.authenticate.secret": secret,
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": RECOVERY,
        # Executors come and go with their workers; by default the tenth that is lost ends the application.
        "spark.deploy.maxExecutorRetries": "-1",
        "spark.deploy.retainedApplications": "20",
        "spark.deploy.retainedDrivers": "20",
        # Seconds without a heartbeat until a worker counts as lost.
        "spark.worker.timeout": "20",
        "spark.worker.cleanup.enabled": "true",
        "spark.worker.cleanup.interval": "1800",
        "spark.worker.cleanup.appDataTtl": str(DAY_S),
        # The pages of workers and driver are read through the master's, the only one that is published.
        "spark.ui.reverseProxy": "true",
    }


def _of_application() -> dict[str, str]:
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
        "spark.network.timeout": "60s",
        "spark.executor.heartbeatInterval": "5s",
        # A task whose worker is killed is tried again on the next one, and a worker may be killed more than once.
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
        # Two instances live in the master; on one path they would hide each other.
        "spark.metrics.conf.master.sink.prometheusServlet.path": "/metrics/master/prometheus",
        "spark.metrics.conf.applications.sink.prometheusServlet.path": "/metrics/applications/prometheus",
    }


def _of_history() -> dict[str, str]:
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
    """Write ``spark-defaults.conf`` to where Spark looks for it, readable for this account only: it has the secret."""
    secret = Path(SPARK_SECRET_FILE).read_text(encoding="ascii").strip()
    CONF_DIR.mkdir(exist_ok=True)
    path = CONF_DIR / "spark-defaults.conf"
    path.touch(mode=0o600)
    path.write_text("".join(f"{key} {value}\n" for key, value in defaults(secret).items()), encoding="utf-8")


def run_master() -> None:
    """Become the master; does not return."""
    arguments = ["--host", MASTER_HOST, "--port", str(MASTER_PORT), "--webui-port", str(MASTER_UI_PORT)]
    _become("org.apache.spark.deploy.master.Master", arguments)


def run_worker() -> None:
    """Become a worker; does not return."""
    arguments = ["--host", _address_towards(MASTER_HOST), "--webui-port", str(WORKER_UI_PORT), "--work-dir", WORK_DIR]
    arguments += ["--cores", read("HEADRACE_WORKER_CORES"), "--memory", read("HEADRACE_WORKER_MEMORY")]
    _become("org.apache.spark.deploy.worker.Worker", [*arguments, MASTER_URL])


def run_history() -> None:
    """Become the history server; does not return."""
    _become("org.apache.spark.deploy.history.HistoryServer", [])


def run_driver() -> None:
    """Become the job's process; does not return."""
    write_defaults()
    command = driver_command()
    os.execvp(command[0], command)  # noqa: S606 - every word is ours or the operator's


def driver_command() -> list[str]:
    """Return the command of the job."""
    options = {
        "bridges": ",".join(f"{host}:{FLIGHT_PORT}" for host in bridges()),
        "token-file": TOKEN_FILE,
        "job-folder": JOB_FOLDER,
        "metrics": f"0.0.0.0:{JOB_METRICS_PORT}",
        "master": MASTER_URL,
        "driver-memory": read("HEADRACE_DRIVER_MEMORY"),
        "stall-after": read("HEADRACE_STALL_AFTER"),
    }
    # An option that nobody set is left out: its default is the job's affair.
    options |= {option: read(name) for name, option in OF_THE_JOB.items() if read(name)}
    sinks = [f"--sink={sink.strip()}" for sink in read("HEADRACE_SINKS").split(",") if sink.strip()]
    if database():
        sinks += [f"--sink={database()}", f"--password-file={PASSWORD_FILE}"]
    named = [f"--{name}={value}" for name, value in options.items()]
    # Python is the parent of Java here, not the other way round as with spark-submit: it gets the signal to stop.
    return ["python", "-m", "spark_job", "url-counts", "--allow-plaintext", *named, *sinks]


def _become(main_class: str, arguments: list[str]) -> None:
    import pyspark

    write_defaults()
    options = f"-Dlog4j2.configurationFile=file:{LOGGING} -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    os.environ["SPARK_DAEMON_JAVA_OPTS"] = f"{options} -XX:+ExitOnOutOfMemoryError"
    os.environ["SPARK_DAEMON_MEMORY"] = DAEMON_MEMORY
    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    launcher = str(Path(os.environ["SPARK_HOME"]) / "bin" / "spark-class")
    os.execv(launcher, [launcher, main_class, *arguments])  # noqa: S606 - every word is ours or the operator's


def _address_towards(host: str) -> str:
    """Return this container's address in the network in which ``host`` is.

    A worker is in two networks and binds one address, which the master must reach. Nothing is sent.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, MASTER_PORT))
        return str(probe.getsockname()[0])
