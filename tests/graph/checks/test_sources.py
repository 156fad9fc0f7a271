"""Iterators and queues that are empty when a signature is asked, and those that are filled."""

from __future__ import annotations

import tensorflow as tf
import tensorflow.compat.v1 as v1

from tests.support.meta_graphs import Told


def test_an_iterator(told: Told, x: tf.Tensor) -> None:
    iterator = v1.data.make_initializable_iterator(tf.data.Dataset.range(3).map(float), shared_name="rows")
    y = x + iterator.get_next()
    text = told({"x": x}, y)
    assert "signature 'p': it takes the next element of an iterator that nobody initializes: 'IteratorV2'" in text
    assert not told({"x": x}, y, main_op=iterator.initializer)
    assert not told({"x": x}, y, tags=["train"])
    with tf.control_dependencies([iterator.initializer]):
        assert not told({"x": x}, x + iterator.get_next())
    assert not told({"x": x}, x + v1.data.make_one_shot_iterator(tf.data.Dataset.range(3).map(float)).get_next())
    assert not told({"x": x}, x + tf.data.Dataset.range(3).map(float).reduce(0.0, tf.add))


def test_an_iterator_for_several_devices(told: Told, x: tf.Tensor) -> None:
    data = tf.data.Dataset.range(3).map(float)
    types = {"output_types": [tf.float32], "output_shapes": [[]]}
    iterator = tf.raw_ops.MultiDeviceIterator(devices=["/cpu:0"], shared_name="rows", container="", **types)
    started = tf.raw_ops.MultiDeviceIteratorInit(
        dataset=data._variant_tensor, multi_device_iterator=iterator, max_buffer_size=1
    )
    (row,) = tf.raw_ops.MultiDeviceIteratorGetNextFromShard(
        multi_device_iterator=iterator, shard_num=0, incarnation_id=started, **types
    )
    assert not told({"x": x}, x + row)
    (later,) = tf.raw_ops.MultiDeviceIteratorGetNextFromShard(
        multi_device_iterator=iterator, shard_num=0, incarnation_id=tf.constant(0, tf.int64), **types
    )
    assert "an iterator that nobody initializes: 'MultiDeviceIterator'" in told({"x": x}, x + later)
    assert not told({"x": x}, x + later, main_op=started.op)


def test_an_iterator_of_a_function(told: Told, x: tf.Tensor) -> None:
    @tf.function
    def total(value: tf.Tensor) -> tf.Tensor:
        for number in tf.data.Dataset.range(3).map(lambda number: tf.cast(number, tf.float32)):
            value += number
        return value

    assert not told({"x": x}, total(x))


def test_a_queue(told: Told, x: tf.Tensor) -> None:
    queue = v1.FIFOQueue(3, tf.float32, [[]], name="queue")
    fill = queue.enqueue(x)
    y = x + queue.dequeue()
    text = told({"x": x}, y)
    assert "signature 'p': it waits for ever for an element of a queue that nobody fills: 'queue'" in text
    with tf.control_dependencies([fill]):
        assert not told({"x": x}, x + queue.dequeue())
    assert not told({"x": x}, y, main_op=queue.enqueue(1.0))
    assert not told({"x": x}, x + tf.cast(queue.size(), tf.float32))
    assert not told({"element": (element := queue.dequeue())}, element * 2.0)
