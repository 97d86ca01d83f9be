"""The Kubernetes files are valid, hardened, and have the same ports, names and versions as the code.

They are not run on a cluster. Checked without one: the schemas of Kubernetes, the fields of the operator's kind as its
documentation lists them, and that the files agree with each other and with the code.
"""

from __future__ import annotations

import copy
import json
import os
import re
import stat
import subprocess
import tomllib
from importlib import metadata
from typing import TYPE_CHECKING, Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from headrace.common.bridge_defaults import ADMIN_PORT, AVRO_PORT, FLIGHT_PORT
from headrace.services.environment import AGENT_METRICS_PORT, TOKEN_FILE
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = ROOT / "docker" / "k8s"
BASE = FOLDER / "base"
KUBERNETES = ("1.29", "1.37")
"""The oldest and the newest release against whose schemas the files are checked."""

GIB = 2**30
ALLOWED_OF_VOLUME = 0.95


def read(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def kustomization() -> dict[str, Any]:
    return read(BASE / "kustomization.yaml")[0]


def objects() -> list[dict[str, Any]]:
    return [each for name in kustomization()["resources"] for each in read(BASE / name)]


def named(kind: str, name: str) -> dict[str, Any]:
    return next(each for each in objects() if (each["kind"], each["metadata"]["name"]) == (kind, name))


def title(each: dict[str, Any]) -> str:
    return f"{each['kind']}-{each['metadata']['name']}"


def application() -> dict[str, Any]:
    return named("SparkApplication", "url-counts")


def check_application(value: dict[str, Any]) -> None:
    jsonschema.validate(value, json.loads((FOLDER / "sparkapplication.schema.json").read_bytes()))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the specification of every pod, also those in Spark's templates."""
    for each in objects():
        if each["kind"] == "StatefulSet":
            yield title(each), each["spec"]["template"]["spec"]
    for role in ("driverSpec", "executorSpec"):
        yield role, application()["spec"][role]["podTemplateSpec"]["spec"]


def test_the_kustomization_names_every_file_and_nothing_else() -> None:
    assert sorted(kustomization()["resources"]) == sorted(
        path.name for path in BASE.iterdir() if path.name != "kustomization.yaml"
    )


@pytest.mark.parametrize("release", KUBERNETES)
@pytest.mark.parametrize("each", [each for each in objects() if each["kind"] != "SparkApplication"], ids=title)
def test_an_object_is_valid(each: dict[str, Any], release: str) -> None:
    kubernetes_validate.validate(each, release, strict=True)


def test_an_object_with_a_key_that_kubernetes_does_not_know_is_caught() -> None:
    changed = copy.deepcopy(named("StatefulSet", "bridge"))
    changed["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(changed, KUBERNETES[-1], strict=True)


@pytest.mark.parametrize("release", KUBERNETES)
@pytest.mark.parametrize("role", ["driverSpec", "executorSpec"])
def test_a_pod_template_of_spark_is_valid(role: str, release: str) -> None:
    template = application()["spec"][role]["podTemplateSpec"]
    wrapped = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "spark"}, "template": template}
    kubernetes_validate.validate(wrapped, release, strict=True)


def test_the_spark_application_is_valid() -> None:
    check_application(application())


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("spec", "restartPolicy"), "Always", "restartPolicy"),
        (("spec", "applicationTolerations", "restartConfig", "restartPolicy"), "Sometimes", "Sometimes"),
        (("spec", "sparkConf", "spark.executor.instances"), 2, "2 is not of type 'string'"),
        (("apiVersion",), "sparkoperator.k8s.io/v1beta2", "was expected"),
    ],
)
def test_a_spark_application_that_the_operator_would_misread_is_caught(
    path: tuple[str, ...], value: object, says: str
) -> None:
    changed = copy.deepcopy(application())
    target = changed
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError, match=says):
        check_application(changed)


@pytest.mark.parametrize(("name", "pod"), list(pods()), ids=[name for name, _ in pods()])
def test_a_pod_is_hardened(name: str, pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert "sizeLimit" in volumes["tmp"]["emptyDir"]
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
        if not name.endswith("Spec"):
            # Spark sets these for its pods, and checks its executors itself.
            assert "memory" in container["resources"]["limits"]
            assert {"startupProbe", "livenessProbe"} <= container.keys()
            assert pod["automountServiceAccountToken"] is False


def test_versions_are_those_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    images = {image["name"]: image["newTag"] for image in kustomization()["images"]}
    used = {container["image"] for name, pod in pods() if not name.endswith("Spec") for container in pod["containers"]}
    assert used == {f"{name}:{tag}" for name, tag in images.items()}
    assert set(images.values()) == {version}
    assert application()["spec"]["sparkConf"]["spark.kubernetes.container.image"] == f"headrace-spark-k8s:{version}"
    assert f"ARG SPARK_IMAGE=headrace-spark:{version}\n" in (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    assert application()["spec"]["runtimeVersions"]["sparkVersion"] == metadata.version("pyspark")


def test_ports_are_those_of_the_code() -> None:
    ports = {"avro": AVRO_PORT, "flight": FLIGHT_PORT, "admin": ADMIN_PORT, "metrics": AGENT_METRICS_PORT}
    for service, statefulset in (("bridge", "bridge"), ("agent", "agent")):
        offered = {port["name"]: port["port"] for port in named("Service", service)["spec"]["ports"]}
        container = named("StatefulSet", statefulset)["spec"]["template"]["spec"]["containers"][0]
        assert {port["name"]: port["containerPort"] for port in container["ports"]} == offered
        assert offered.items() <= ports.items()


def allowed_ports(policy: str, direction: str) -> set[int]:
    rules = named("NetworkPolicy", policy)["spec"][direction]
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_each_allowed_outgoing_port_is_allowed_in_at_its_target() -> None:
    conf, arguments = application()["spec"]["sparkConf"], application()["spec"]["driverArgs"]
    spark = {int(conf["spark.driver.port"]), int(conf["spark.blockManager.port"])}
    page = next(int(text.rpartition(":")[2]) for text in arguments if text.startswith("--metrics="))
    assert allowed_ports("bridge", "ingress") == {AVRO_PORT, FLIGHT_PORT, ADMIN_PORT}
    assert allowed_ports("bridge", "egress") == allowed_ports("agent", "ingress") == {AGENT_METRICS_PORT}
    assert allowed_ports("agent", "egress") == {AVRO_PORT}
    assert allowed_ports("job", "egress") == {FLIGHT_PORT, *spark}
    assert allowed_ports("job", "ingress") == {page, *spark}


def test_agents_and_job_know_every_bridge() -> None:
    bridges = named("StatefulSet", "bridge")["spec"]
    names = [f"bridge-{number}.{bridges['serviceName']}" for number in range(bridges["replicas"])]
    agent = named("StatefulSet", "agent")["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "HEADRACE_BRIDGES", "value": ",".join(names)} in agent["env"]
    bridges_option = f"--bridges={','.join(f'{name}:{FLIGHT_PORT}' for name in names)}"
    assert bridges_option in application()["spec"]["driverArgs"]


def test_the_token_is_where_each_looks_for_it() -> None:
    bridge = named("StatefulSet", "bridge")["spec"]["template"]["spec"]
    mount = next(mount for mount in bridge["containers"][0]["volumeMounts"] if mount["name"] == "token")
    assert f"{mount['mountPath']}/bridge-token" == TOKEN_FILE
    conf = application()["spec"]["sparkConf"]
    for role in ("driver", "executor"):
        folder = conf[f"spark.kubernetes.{role}.secrets.bridge-token"]
        assert f"--token-file={folder}/bridge-token" in application()["spec"]["driverArgs"]


def test_files_that_the_job_names_are_in_the_image() -> None:
    named_files = re.findall(r"/opt/headrace/(\S+)", " ".join(application()["spec"]["sparkConf"].values()))
    named_files += re.findall(r"/opt/headrace/(\S+)", application()["spec"]["pyFiles"])
    assert len(named_files) == 3
    for name in named_files:
        # The packages are in app/, the files that docker/k8s/Dockerfile adds in k8s/.
        place = ROOT / name.removeprefix("app/") if name.startswith("app/") else ROOT / "docker" / name
        assert place.is_file(), name


def test_the_job_takes_its_arguments() -> None:
    """Every option in the manifest is an option of the job."""
    from spark_job.cli import job_command

    name, *given = application()["spec"]["driverArgs"]
    options = {parameter for command in [job_command(name)] for parameter in _options(command)}
    assert {text.partition("=")[0] for text in given} <= options


def _options(app: Any) -> set[str]:
    import typer.main

    return {option for parameter in typer.main.get_command(app).params for option in parameter.opts}


def test_a_full_log_fits_its_volume() -> None:
    bridge = named("StatefulSet", "bridge")["spec"]
    container = bridge["template"]["spec"]["containers"][0]
    cap = next(int(each["value"]) for each in container["env"] if each["name"] == "HEADRACE_LOG_MAX_BYTES")
    storage = bridge["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
    assert cap * 9 / 8 <= int(storage.removesuffix("Gi")) * GIB * ALLOWED_OF_VOLUME


@pytest.fixture
def stubs(tmp_path: Path) -> dict[str, str]:
    """An environment with stubs for the programs that the entry point executes; they print their arguments."""
    for name in ("java", "spark-submit"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho {name}\nprintf "%s\\n" "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    # What Spark sets in the container of an executor, and in that of a driver.
    return {
        "PATH": os.environ["PATH"],
        "SPARK_HOME": str(tmp_path),
        "JAVA_HOME": str(tmp_path),
        "SPARK_DRIVER_BIND_ADDRESS": "10.0.0.1",
        "SPARK_DRIVER_URL": "spark://driver",
        "SPARK_EXECUTOR_ID": "7",
        "SPARK_EXECUTOR_CORES": "2",
        "SPARK_EXECUTOR_MEMORY": "1024m",
        "SPARK_APPLICATION_ID": "url-counts-0",
        "SPARK_EXECUTOR_POD_IP": "10.0.0.2",
        "SPARK_EXECUTOR_POD_NAME": "exec-7",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_CONF_DIR": "/conf",
        **{f"SPARK_JAVA_OPT_{number}": f"-Dn={number}  a b" for number in range(11)},
        "SPARK_JAVA_OPT_12": "-Dafter=a-gap",
    }


def entered(environment: dict[str, str], *arguments: str) -> list[str]:
    command = [str(FOLDER / "entrypoint.sh"), *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def test_the_entry_point_becomes_a_driver(stubs: dict[str, str]) -> None:
    given = ["--class", "org.apache.spark.deploy.PythonRunner", "local:///opt/headrace/k8s/job.py", "a b"]
    assert entered(stubs, "driver", *given) == [
        "spark-submit",
        "--deploy-mode",
        "client",
        "--conf",
        "spark.driver.bindAddress=10.0.0.1",
        *given,
    ]


def test_the_entry_point_becomes_an_executor(stubs: dict[str, str], tmp_path: Path) -> None:
    java, *given = entered(stubs, "executor")
    assert java == "java"
    assert given[:13] == [*(f"-Dn={number}  a b" for number in range(11)), "-Xms1024m", "-Xmx1024m"]
    assert given[13:16] == [
        "-cp",
        f"/conf:{tmp_path}/jars/*",
        "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend",
    ]
    pairs = dict(zip(given[16::2], given[17::2], strict=True))
    assert pairs == {
        "--driver-url": "spark://driver",
        "--executor-id": "7",
        "--cores": "2",
        "--app-id": "url-counts-0",
        "--hostname": "10.0.0.2",
        "--resourceProfileId": "0",
        "--podName": "exec-7",
    }


def test_the_entry_point_says_what_is_missing(stubs: dict[str, str]) -> None:
    del stubs["SPARK_DRIVER_URL"]
    command = [str(FOLDER / "entrypoint.sh"), "executor"]
    ended = subprocess.run(command, env=stubs, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert re.search(r"SPARK_DRIVER_URL: Spark sets it", ended.stderr)


def test_any_other_command_is_run_as_it_is(stubs: dict[str, str]) -> None:
    assert entered(stubs, "echo", "a  b") == ["a  b"]
