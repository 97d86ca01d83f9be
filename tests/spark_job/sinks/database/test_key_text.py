"""Every text gets a form that the database holds, and no two texts get the same."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from spark_job.sinks.database.key_text import NO_VALUE, KeyText, storable

SHORT = KeyText(64)
WHOLE = KeyText(holds_nul=True)

# Texts near each other and near the forms that the rule gives: what an attacker would write.
anything = st.text(st.characters() | st.sampled_from("\0~a0\ufffd") | st.characters(categories=["Cs"]), max_size=200)
marked = st.builds(
    lambda text, digits: f"{text}~{digits}", anything, st.text("0123456789abcdef", min_size=30, max_size=33)
)
tricky = anything | marked | st.builds(lambda text: SHORT.stored(text), anything) | st.none() | st.just(NO_VALUE)


@given(tricky, tricky)
@example("a\0", SHORT.stored("a\0"))
@example(None, NO_VALUE)
@example("a" * 65, SHORT.stored("a" * 65))
def test_different_keys_stay_different(one: str | None, other: str | None) -> None:
    for rule in (SHORT, WHOLE, KeyText(None), KeyText(640)):
        assert (rule.stored(one) == rule.stored(other)) == (one == other)


@given(tricky)
def test_what_is_stored_can_be_stored(text: str | None) -> None:
    stored = SHORT.stored(text)
    assert len(stored) <= 64
    assert "\0" not in stored
    stored.encode()
    WHOLE.stored(text).encode()


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("/index.html", "", "é" * 64, "a~b", "(null"):
        assert SHORT.stored(text) == text
    assert WHOLE.stored("a" * 10_000 + "\0") == "a" * 10_000 + "\0"


def test_other_forms_show_what_they_were() -> None:
    assert SHORT.stored(None) == "(null)"
    assert SHORT.stored("x\0y").startswith("x\ufffdy~")
    assert SHORT.stored("a" * 70).startswith("a" * 31 + "~")


def test_text_that_is_no_key_loses_only_what_cannot_be_stored() -> None:
    assert storable("a\0b\udcffc" + "d" * 10_000) == "a\ufffdb\ufffdc" + "d" * 10_000
    assert storable(None) is None
