"""What is warned of once per export is true: TensorFlow's loaders do not get such models to work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.support.served import ask, signatures

Exported = Callable[..., list[str]]


@pytest.fixture
def x(graph: tf.Graph) -> tf.Tensor:
    return v1.placeholder(tf.float32, [], "x")


@pytest.fixture
def exported(graph: tf.Graph, x: tf.Tensor, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Exported:
    """Exports a complete graph with variables of the value 3; the warnings."""

    def exported(y: tf.Tensor, variables: list[tf.Variable] | None = None, **arguments: Any) -> list[str]:
        saver = ads.Saver(variables)
        builder = ads.SavedModelBuilder(tmp_path / "model")
        with v1.Session() as session:
            session.run([variable.assign(3.0) for variable in v1.global_variables()])
            builder.add_meta_graph_and_variables(
                session, ["serve"], signatures({"x": x}, {"y": y}), saver=saver, **arguments
            )
            builder.save()
        return [record.getMessage() for record in caplog.records if record.name.startswith("autodist_saved.graph")]

    return exported


def test_an_ordinary_model_is_not_warned_of(exported: Exported, x: tf.Tensor) -> None:
    assert exported(x * v1.get_variable("w", []), main_op=v1.local_variables_initializer()) == []


def test_a_placeholder_that_nobody_feeds(exported: Exported, x: tf.Tensor, tmp_path: Path) -> None:
    y = x * v1.get_variable("w", []) * v1.placeholder(tf.float32, [], "rate")
    (text,) = exported(y)
    assert "it needs placeholders that nobody feeds: 'rate'" in text
    with pytest.raises(Exception, match="depends on a placeholder which is not an input"):
        tf.saved_model.load(str(tmp_path / "model"))


def test_a_variable_that_is_not_saved(exported: Exported, x: tf.Tensor, tmp_path: Path) -> None:
    saved, scale = (v1.get_variable(name, [], use_resource=True) for name in ("saved", "scale"))
    (text,) = exported(x * saved * scale, [saved])
    assert "main op does not assign: 'scale'" in text
    with pytest.raises(tf.errors.FailedPreconditionError, match="scale"):
        ask(tmp_path / "model", {"x": 1.0})


def test_a_main_op_that_initializes_what_was_restored(exported: Exported, x: tf.Tensor, tmp_path: Path) -> None:
    y = x * v1.get_variable("w", initializer=1.0)
    (text,) = exported(y, main_op=v1.global_variables_initializer())
    assert "it initializes 'w' after they were restored" in text
    assert ask(tmp_path / "model", {"x": 1.0})[0]["y"] == 1.0
