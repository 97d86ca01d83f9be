"""The formats that the kernels know, also when they are written out as LogFormat strings."""

from __future__ import annotations

import pytest

from spark_job.parse.formats import NAMED, line_format
from spark_job.parse.kernels.line_form import LineForm


@pytest.mark.parametrize(
    ("log_format", "form"),
    [
        ("common", LineForm(server=False, headers=False, may_go_on=False)),
        ("combined", LineForm(server=False, headers=True, may_go_on=True)),
        ("vhost_combined", LineForm(server=True, headers=True, may_go_on=True)),
        (NAMED["combined"], LineForm(server=False, headers=True, may_go_on=False)),
        ('%h %l %u %t "%r" %s %b', None),
        ("%r", None),
    ],
)
def test_a_format_has_its_form(log_format: str, form: LineForm | None) -> None:
    assert LineForm.of(line_format(log_format)) == form


def test_json_has_none() -> None:
    assert LineForm.of(None) is None
