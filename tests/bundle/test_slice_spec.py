from __future__ import annotations

import pytest
import tensorflow as tf

from autodist_saved.bundle.slice_spec import Slice, parse_slice_spec, slice_spec


@pytest.mark.parametrize("text", ["8 4 0,5:0,4", "7 3,4", "2 2 2 0,1:1,1:0,2"])
def test_a_text_says_what_tensorflow_says_of_it(text: str) -> None:
    *whole, _ = text.split()
    part = parse_slice_spec(text)
    info = tf.Variable.SaveSliceInfo("v", list(part.whole), list(part.start), list(part.shape))
    assert slice_spec(part) == text == info.spec
    assert list(map(str, part.whole)) == whole


def test_a_dash_is_all_of_a_dimension() -> None:
    assert parse_slice_spec("8 4 3,5:-") == Slice((8, 4), (3, 0), (5, 4))
    assert parse_slice_spec("8 4 -:-").is_whole


@pytest.mark.parametrize("text", ["", "8", "8 4 0,5", "8 4 0:1", "a 0,1", "8 0,1:0,1"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"zip\(\) argument|invalid literal|not enough values"):
        parse_slice_spec(text)
