"""When two answers are the same."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from autodist_saved.verification.comparison import difference

STRINGS = np.array([b"late", b"early"], object)


@pytest.mark.parametrize(
    ("live", "loaded"),
    [
        (np.float32([1, -2]), np.float32([1, -2])),
        (np.float32([1, 1e-7]), np.float32([1 + 1e-6, 2e-7])),
        (np.float32([1e-20, 2e-20]), np.float32([1e-20, 2e-20])),
        (np.float32([0, 0]), np.float32([0, 1e-6])),
        (np.float64([np.nan, np.inf, -np.inf]), np.float64([np.nan, np.inf, -np.inf])),
        (np.float16([1.0]), np.float16([1.01])),
        (np.array([1.0], tf.bfloat16.as_numpy_dtype), np.array([1.0078125], tf.bfloat16.as_numpy_dtype)),
        (np.complex64([1 + 1j]), np.complex64([1 + 1.000001j])),
        (np.zeros([0, 3], np.float32), np.zeros([0, 3], np.float32)),
        (np.int64([2**62 + 1]), np.int64([2**62 + 1])),
        (STRINGS, STRINGS.copy()),
        (np.array(b"scalar", object), np.array(b"scalar", object)),
    ],
)
def test_what_arithmetic_explains_is_the_same(live: np.ndarray, loaded: np.ndarray) -> None:
    assert difference(live, loaded) is None


@pytest.mark.parametrize(
    ("live", "loaded", "told"),
    [
        (np.float32([1, 2]), np.float64([1, 2]), "it is float64 [2], and in the job float32 [2]"),
        (np.float32([1, 2]), np.float32([[1, 2]]), "it is float32 [1, 2], and in the job float32 [2]"),
        (
            np.float32([5, 1]),
            np.float32([5, 1.5]),
            "answered 1.0 at [1], and the loaded model 1.5; they differ by 0.5",
        ),
        (np.float32([1e-20]), np.float32([2e-20]), "they differ by 1e-20 there"),
        (np.float32([1e6, 1, 2, 3]), np.float32([1e6, 5, -5, 9]), "answered 2.0 at [2], and the loaded model -5.0"),
        (np.float32([[1e6, 1], [1, 2]]), np.float32([[1e6, 2], [1, 3]]), "answered 2.0 at [1, 1], and the loaded"),
        (np.float32([1, np.nan]), np.float32([1, 2]), "answered nan at [1], and the loaded model 2.0"),
        (np.float32([np.inf]), np.float32([-np.inf]), "answered inf at [0], and the loaded model -inf"),
        (np.float16([1.0]), np.float16([1.1]), "answered 1.0 at [0]"),
        (np.int64([2**62 + 1]), np.int64([2**62]), "answered 4611686018427387905 at [0]"),
        (np.array([True]), np.array([False]), "answered True at [0], and the loaded model False"),
        (STRINGS, STRINGS[::-1].copy(), "answered b'late' at [0], and the loaded model b'early'"),
        (np.float32(1), np.float32(2), "answered 1.0, and the loaded model 2.0"),
    ],
)
def test_anything_else_is_told_with_its_place(live: np.ndarray, loaded: np.ndarray, told: str) -> None:
    said = difference(np.asarray(live), np.asarray(loaded))
    assert said is not None
    assert told in said


def test_a_job_with_gpus_computes_with_fewer_digits_than_its_types_have() -> None:
    live, loaded = np.float32([1.0]), np.float32([1.005])
    assert difference(live, loaded) is not None
    assert difference(live, loaded, narrow=True) is None
