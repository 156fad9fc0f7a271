"""Switches TensorFlow's second version off where that is asked for; it can only be done once for a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import tensorflow.compat.v1 as v1

WITHOUT_V2_BEHAVIOR = "AUTODIST_SAVED_TESTS_WITHOUT_V2_BEHAVIOR"

if WITHOUT_V2_BEHAVIOR in os.environ:
    v1.disable_v2_behavior()


@pytest.fixture(params=[True, False], ids=["resource", "reference"])
def variable(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``tf.compat.v1.Variable`` with and without a resource handle."""
    return partial(v1.Variable, use_resource=request.param)
