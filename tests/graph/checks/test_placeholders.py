"""Placeholders that nobody feeds, and whose they are."""

from __future__ import annotations

import tensorflow as tf
import tensorflow.compat.v1 as v1

from tests.support.meta_graphs import Told


def test_placeholders_that_are_no_inputs(told: Told, x: tf.Tensor) -> None:
    words, more = v1.placeholder(tf.float32, [], "words"), v1.placeholder(tf.float32, [], "more")
    text = told({"x": x}, x + words * more)
    assert "signature 'p': it needs placeholders that nobody feeds: 'more', 'words'; tf.saved_model.load" in text
    assert "fix: make them inputs of the signature, or give them a value with" in text


def test_a_placeholder_of_the_main_op(told: Told, x: tf.Tensor) -> None:
    loaded = tf.group(v1.placeholder(tf.float32, [], "where"))
    assert "main_op: it needs placeholders that nobody feeds: 'where'" in told({"x": x}, x * 2.0, main_op=loaded)


def test_placeholders_of_others_are_nobodys_business(told: Told, x: tf.Tensor) -> None:
    words = v1.placeholder(tf.float32, [], "words")
    hidden = words * 2.0
    default = v1.placeholder_with_default(1.0, [])
    assert not told({"hidden": hidden, "x": x}, x + hidden + default, train_op=tf.group(words))
