"""What Ivy is told: the POM's jars alone, the mirror of Maven's settings, the proxy of the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flume.errors import JarsDiffer, JarsMissing
from flume.jars import ivy
from tests.support.jar_project import POM

if TYPE_CHECKING:
    from pathlib import Path


def test_a_poms_jars_are_read_with_its_properties_put_in(tmp_path: Path) -> None:
    path = tmp_path / "pom.xml"
    path.write_text(POM)
    one, two = ivy.read_pom(path)
    assert one == ivy.Coordinates("org.example", "one", "1.0")
    assert two.file_name == "two-2.0.jar"
    assert 'org="org.example" name="one" rev="1.0" transitive="false"' in ivy.module_xml([one, two])


@pytest.mark.parametrize(
    ("pom", "said"),
    [
        ("<project", "not a readable POM"),
        (POM.replace("<version>2.0</version>", ""), "a dependency has no version"),
        (POM.replace("one.version}", "other.version}"), "the property 'other.version' is used but not defined"),
    ],
)
def test_a_pom_that_says_too_little_is_refused(tmp_path: Path, pom: str, said: str) -> None:
    path = tmp_path / "pom.xml"
    path.write_text(pom)
    with pytest.raises(JarsDiffer, match=said):
        ivy.read_pom(path)


@pytest.mark.parametrize(
    ("mirror_of", "expected"),
    [("central", True), ("*", True), ("external:*", True), ("*,!central", False), ("other", False)],
)
def test_the_mirror_of_mavens_settings_is_used_if_it_mirrors_central(
    tmp_path: Path, mirror_of: str, *, expected: bool
) -> None:
    settings = tmp_path / "settings.xml"
    for namespace in ("", ' xmlns="http://maven.apache.org/SETTINGS/1.0.0"'):
        mirror = f"<mirror><mirrorOf>{mirror_of}</mirrorOf><url>file:/m</url></mirror>"
        settings.write_text(f"<settings{namespace}><mirrors>{mirror}</mirrors></settings>")
        assert ivy.central_mirror(settings) == ("file:/m/" if expected else None)
    assert ivy.central_mirror(tmp_path / "none.xml") is None
    assert 'root="file:/m/"' in ivy.settings_xml("file:/m/")
    assert "root" not in ivy.settings_xml(None)


def test_proxy_variables_reach_java() -> None:
    environment = {"https_proxy": "http://proxy.example:3128", "HTTP_PROXY": "other.example"}
    assert ivy.proxy_options(environment) == [
        "-Dhttp.proxyHost=other.example",
        "-Dhttp.proxyPort=80",
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
    ]
    assert ivy.proxy_options({}) == []


def test_the_tools_are_found_in_the_wheel_of_pyspark() -> None:
    assert ivy.wheel_jar("ivy-").is_file()
    with pytest.raises(JarsMissing, match=r"no nothing-\*\.jar"):
        ivy.wheel_jar("nothing-")
