"""Option models: texts and values are read the same way, and anything else is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import pytest
from pydantic import ValidationError

from spark_job.options.model import Duration, Length, OptionModel, choice_of


class Settings(OptionModel):
    """Options of each kind."""

    window: Length = timedelta(minutes=5)
    watermark: Duration = timedelta(0)
    color: Annotated[str, choice_of("red", "green")] = "red"


@pytest.mark.parametrize("window", ["90s", timedelta(seconds=90)])
def test_a_text_and_a_value_mean_the_same(window: str | timedelta) -> None:
    assert Settings.model_validate({"window": window}).window == timedelta(seconds=90)


def test_a_length_is_above_zero_and_a_duration_may_be_zero() -> None:
    assert Settings.model_validate({"watermark": "0s"}).watermark == timedelta(0)
    with pytest.raises(ValidationError, match="window"):
        Settings.model_validate({"window": "0s"})


def test_a_choice_is_taken_as_it_is_written_and_the_nearest_one_is_named() -> None:
    assert Settings(color="green").color == "green"
    with pytest.raises(ValidationError, match=r"not one of red, green; did you mean 'green'\?"):
        Settings(color="Green")


def test_unknown_names_and_later_changes_are_refused() -> None:
    with pytest.raises(ValidationError, match="slide"):
        Settings.model_validate({"slide": "1m"})
    with pytest.raises(ValidationError, match="frozen"):
        Settings().color = "green"  # type: ignore[misc] # what is tried
