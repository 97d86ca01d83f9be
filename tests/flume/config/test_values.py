"""The defaults are those of the documented file, and what is wrong with a file is said in its own words."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from flume.config.values import DOCUMENTED, BridgeValues, Values, default_values, load_values
from flume.errors import ValuesError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "values.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_documented_file_is_complete_and_equals_the_defaults() -> None:
    assert load_values(DOCUMENTED) == default_values()
    tree = tomllib.loads(DOCUMENTED.read_text(encoding="utf-8"))
    # A bridge has no priority unless it is given one; TOML has no word for that.
    assert default_values().model_dump(mode="json", exclude_none=True) == tree


def test_no_model_has_a_default_beside_the_documented_file() -> None:
    models: dict[str, type[BaseModel]] = {name: type(getattr(default_values(), name)) for name in Values.model_fields}
    models["sinks.bridges"] = BridgeValues
    optional = {
        f"{section}.{name}"
        for section, model in models.items()
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
    assert optional == {"sinks.bridges.priority"}


def test_a_bridge_that_is_given_in_part_has_the_documented_rest(tmp_path: Path) -> None:
    (documented,) = default_values().sinks.bridges
    (bridge,) = load_values(written(tmp_path, "[[sinks.bridges]]\nhost = 'a'")).sinks.bridges
    assert (bridge.host, bridge.port, bridge.priority) == ("a", documented.port, None)


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_values(written(tmp_path, "")) == default_values()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[chanel]\ntype = 'file'", "chanel: unknown key; did you mean 'channel'?"),
        ("[channel]\ncapazity = 5", "channel.capazity: unknown key; did you mean 'capacity'?"),
        ("[[sinks.bridges]]\nhots = 'a'", "sinks.bridges.0.hots: unknown key; did you mean 'host'?"),
        ("[agent]\nqqqqqq = 1", "agent.qqqqqq: unknown key; known are name"),
        ("[channel]\ncapacity = '5'", "channel.capacity = '5': Input should be a valid integer"),
        ("[channel]\ncapacity = 0", "channel.capacity = '0': Input should be greater than or equal to 1"),
        ("[channel]\ntype = 'jdbc'", "Input should be 'memory' or 'file'"),
        ("[spool]\nfolder = 'spool'", "spool.folder = 'spool': is not an absolute path"),
        ("[spool]\nfolder = '/a${user}'", "would replace by a variable's value"),
        ("[spool]\nfolder = '/a '", "begins or ends with a blank"),
        ('[spool]\nfolder = "/a\\nb"', "contains a control character"),
        ("[[sinks.bridges]]\nhost = '::1'", "give an IPv6 address a host name"),
        ("[[sinks.bridges]]\nhost = 'a b'", "is not a host name or an IPv4 address"),
        ("[[sinks.bridges]]\nhost = 'bücher.example'", "is not a host name or an IPv4 address in ASCII"),
        ("[[sinks.bridges]]\nport = 70000", "sinks.bridges.0.port = '70000'"),
        ("[sinks]\nbridges = []", "sinks.bridges"),
        ("[agent]\nname = 'a.b'", "agent.name = 'a.b'"),
        ("[tls]\nprotocols = ['SSLv3']", "tls.protocols.0 = 'SSLv3'"),
        ("[agent", "not a TOML file"),
    ],
)
def test_a_wrong_file_is_refused_in_words_that_name_the_key(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValuesError) as caught:
        load_values(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_every_problem_of_a_file_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(ValuesError) as caught:
        load_values(written(tmp_path, "[agent]\nnam = 1\n[spool]\nfolder = 'x'\n"))
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValuesError, match=r"none\.toml: cannot be read: No such file"):
        load_values(tmp_path / "none.toml")


def test_changed_makes_a_copy_and_checks_it() -> None:
    values = default_values()
    changed = values.changed({"channel.type": "memory", "sinks.bridges": [{"host": "a"}, {"host": "b", "port": 1}]})
    assert (changed.channel.type, [bridge.port for bridge in changed.sinks.bridges]) == ("memory", [4141, 1])
    assert values == default_values()
    with pytest.raises(ValuesError, match="did you mean 'type'"):
        values.changed({"channel.typ": "memory"})
