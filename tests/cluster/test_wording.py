"""Messages use the words of the file, and name what was probably meant."""

from __future__ import annotations

from autodist_saved.cluster.wording import kind, unknown


def test_a_misspelled_name_is_told_the_near_one_and_any_other_all_of_them() -> None:
    near, far = (unknown("cluster", name, ("worker", "ps"), "job") for name in ("WORKERS", "gpu"))
    assert (near.what, near.fix) == ("'WORKERS' is no job", "did you mean worker?")
    assert far.fix == "choose from worker, ps"


def test_values_are_named_in_the_words_of_their_file() -> None:
    assert [kind(value) for value in ({}, [], "", 0, None, 0.5)] == [
        "a mapping", "a list", "a text", "a number", "empty", "a float",
    ]  # fmt: skip
