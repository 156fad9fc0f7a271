"""Every optimizer of TensorFlow, and some around others, with all kinds of gradients: cuts stop it or it is refused.

The table is that of ``docs/generators/optimizers.py``. Each cell trains with and without gates, to the same numbers.
"""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import UsageError
from autodist_saved.job.step_detection import StepDetector
from autodist_saved.job.sync_waits import put_sync_waits
from docs.generators.optimizers import AROUND_OTHERS, GRADIENTS, MODES, OF_TENSORFLOW, REFUSED
from tests.support.patience import PATIENCE_SECS
from tests.support.synchronous import REPLICAS, SyncTraining

Values = dict[str, Any]
CELLS = list(itertools.product([*OF_TENSORFLOW, *AROUND_OTHERS], GRADIENTS, MODES))


class Wrapping(v1.train.Optimizer):  # type: ignore[misc]
    """A stranger's optimizer around Adam."""

    def __init__(self) -> None:
        super().__init__(use_locking=False, name=type(self).__name__)
        self._inner = v1.train.AdamOptimizer(0.1)

    def apply_gradients(self, grads_and_vars: Any, global_step: Any = None, name: str | None = None) -> Any:
        return self.apply([(grad, variable) for grad, variable in grads_and_vars], global_step, name)

    def apply(self, pairs: list[tuple[Any, Any]], global_step: Any, name: str | None) -> Any:
        raise NotImplementedError


class Lookahead(Wrapping):
    """Slow weights follow the fast ones, before these change."""

    def apply(self, pairs: list[tuple[Any, Any]], global_step: Any, name: str | None) -> Any:
        slow = [
            v1.get_variable(f"slow_{number}", initializer=tf.zeros(variable.shape), trainable=False)
            for number, (_, variable) in enumerate(pairs)
        ]
        follow = [v1.assign(one, 0.5 * one + 0.5 * variable) for one, (_, variable) in zip(slow, pairs, strict=True)]
        with tf.control_dependencies(follow):
            return self._inner.apply_gradients(pairs, global_step, name)


class Accumulation(Wrapping):
    """Adds two gradients up before it applies them."""

    def apply(self, pairs: list[tuple[Any, Any]], global_step: Any, name: str | None) -> Any:
        count = v1.get_variable("accumulated", initializer=0, trainable=False)
        sums = [
            v1.get_variable(f"sum_{number}", initializer=tf.zeros(variable.shape), trainable=False)
            for number, (_, variable) in enumerate(pairs)
        ]
        added = [
            total.scatter_add(grad) if isinstance(grad, tf.IndexedSlices) else total.assign_add(grad)
            for total, (grad, _) in zip(sums, pairs, strict=True)
        ]
        counted = v1.assign_add(count, 1)
        variables = [variable for _, variable in pairs]
        for variable in variables:  # slots cannot be made within a branch
            self._inner._create_slots([variable])

        def apply() -> Any:
            applied = self._inner.apply_gradients(zip(map(tf.identity, sums), variables, strict=True))
            with tf.control_dependencies([applied]):
                return tf.group(*[v1.assign(total, tf.zeros_like(total)) for total in sums])

        with tf.control_dependencies([*added, counted]):
            applied = tf.cond(tf.equal(counted % 2, 0), lambda: tf.group(apply()), tf.no_op)
        with tf.control_dependencies([applied]):
            return v1.assign_add(global_step, 1, name=name).op


def optimizer_of(name: str) -> Any:
    if name in OF_TENSORFLOW:
        kind, arguments = getattr(v1.train, name), dict(OF_TENSORFLOW[name])
        if "global_step" in inspect.signature(kind).parameters:
            arguments["global_step"] = v1.train.get_or_create_global_step()
        return kind(**arguments)
    scaled = v1.mixed_precision.MixedPrecisionLossScaleOptimizer
    adam = v1.train.AdamOptimizer(0.1)
    return {
        "moving averages": lambda: adam,
        "fixed loss scale": lambda: scaled(adam, v1.mixed_precision.FixedLossScale(8.0)),
        "dynamic loss scale": lambda: scaled(adam, v1.mixed_precision.DynamicLossScale(8.0, 2)),
        "slow weights": Lookahead,
        "gradient accumulation": Accumulation,
    }[name]()


def loss_of(gradients: str, *, use_resource: bool) -> Any:
    partitioner = v1.fixed_size_partitioner(3) if gradients == "partitioned" else None
    variables = [
        v1.get_variable(
            name, [6, 2], initializer=v1.ones_initializer(), partitioner=partitioner, use_resource=use_resource
        )
        for name in "ab"
    ]
    rows = [
        tf.convert_to_tensor(variable) if gradients == "dense" else tf.nn.embedding_lookup(variable, [0, 2, 2, 5])
        for variable in variables
    ]
    if gradients == "partitioned":
        rows.append(tf.convert_to_tensor(variables[0]))
    return tf.add_n([tf.reduce_sum((one - 0.5) ** 2) for one in rows])


def assert_equal(found: Values, expected: Values) -> None:
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


class Async:
    """Workers train by themselves."""

    def __init__(self, name: str, loss: Any) -> None:
        self.train_op = optimizer_of(name).minimize(loss, global_step=v1.train.get_or_create_global_step())
        if name == "moving averages":
            with tf.control_dependencies([self.train_op]):
                self.train_op = tf.train.ExponentialMovingAverage(0.9).apply(v1.trainable_variables())
        self.values = {variable.op.name: variable.value() for variable in v1.global_variables()}

    def expected(self) -> Values:
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for _ in range(3):
                session.run(self.train_op)
            return dict(session.run(self.values))

    def check(self, expected: Values) -> None:
        with ads.create_distributed_session(ads.Cluster.single(), saver=ads.Saver()) as session:
            kind = StepDetector(session.graph).look(self.train_op)
            assert kind.is_step
            assert kind.wait is None
            for _ in range(3):
                session.run(self.train_op)
            assert session.gate.steps == 3
            assert_equal(session.run(self.values), expected)


class Sync:
    """The chief applies the gradients of all."""

    def __init__(self, name: str, loss: Any) -> None:
        arguments = {}
        if name == "moving averages":
            arguments["variable_averages"] = tf.train.ExponentialMovingAverage(0.9)
            arguments["variables_to_average"] = v1.trainable_variables()
        self.training = SyncTraining(optimizer_of(name), loss, **arguments)
        self.values = {variable.op.name: variable.value() for variable in v1.global_variables()}

    def expected(self) -> Values:
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(self.training.initialize)
            for _ in range(3):
                for _ in range(REPLICAS):
                    self.training.hand_in(session)
                session.run(self.training.update)
            return dict(session.run(self.values))

    def check(self, expected: Values) -> None:
        with self.training.session(ads.Saver()) as session:
            raw = session.raw_session()
            kind = StepDetector(session.graph).look(self.training.update)
            assert kind.is_step
            assert kind.wait is not None
            for _ in range(3):
                before = raw.run(self.values)
                with self.training.updating(raw) as thread:
                    session.gate.park(1, PATIENCE_SECS)
                    assert session.gate.wait_until_parked(PATIENCE_SECS), "no gradient is there yet"
                    for _ in range(REPLICAS):
                        self.training.hand_in(raw)
                    self.training.wait_for_gradients(raw, at_most=0)
                    assert_equal(raw.run(self.values), before)
                    assert thread.is_alive()
                    session.gate.release(1)
                    thread.join()
            assert session.gate.steps == 3
            assert_equal(raw.run(self.values), expected)


@pytest.mark.parametrize(("name", "gradients", "mode"), CELLS, ids=map(" ".join, CELLS))
def test_a_cut_stops_it_or_it_is_refused(name: str, gradients: str, mode: str) -> None:
    check(name, gradients, mode, use_resource=True)


# Optimizers around others have branches, and TensorFlow's branches take no reference variables any more.
OF_REFERENCES = [cell for cell in CELLS if cell[0] in OF_TENSORFLOW and cell[2] == "sync"]


@pytest.mark.parametrize(("name", "gradients", "mode"), OF_REFERENCES, ids=map(" ".join, OF_REFERENCES))
def test_a_cut_stops_it_with_reference_variables_too(name: str, gradients: str, mode: str) -> None:
    check(name, gradients, mode, use_resource=False)


def check(name: str, gradients: str, mode: str, *, use_resource: bool) -> None:
    why = REFUSED.get((name, gradients, mode))

    def build() -> Async | Sync:
        v1.set_random_seed(1)
        return {"async": Async, "sync": Sync}[mode](name, loss_of(gradients, use_resource=use_resource))

    with tf.Graph().as_default() as graph:
        case = build()
        if why is not None:
            with pytest.raises(UsageError, match=why):
                put_sync_waits(graph)
            return
        expected = case.expected()
    with tf.Graph().as_default():
        build().check(expected)


def test_no_optimizer_of_tensorflow_is_left_out() -> None:
    found = {
        name
        for name, kind in vars(v1.train).items()
        if inspect.isclass(kind) and issubclass(kind, v1.train.Optimizer)
    }
    assert found - {"Optimizer", "SyncReplicasOptimizer"} == set(OF_TENSORFLOW)


def test_every_refusal_is_of_a_cell() -> None:
    assert set(REFUSED) <= set(CELLS)
