"""These tests run with TensorFlow's second version, and without it where that is asked for."""

from __future__ import annotations

import os

import tensorflow as tf
import tensorflow.compat.v1 as v1

from tests.tensorflow_behaviour.conftest import WITHOUT_V2_BEHAVIOR


def test_it_is_switched_off_where_that_is_asked_for() -> None:
    with_v2 = WITHOUT_V2_BEHAVIOR not in os.environ
    assert tf.executing_eagerly() == v1.resource_variables_enabled() == v1.control_flow_v2_enabled() == with_v2
