"""Where variables go: over the parameter servers by bytes, equally on every task."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import tensorflow as tf

from autodist_saved.cluster import Cluster, Task
from autodist_saved.cluster.placement import ByBytes
from autodist_saved.errors import UsageError

v1 = tf.compat.v1
CLUSTER = Cluster({"chief": ("a:1",), "worker": ("a:2", "a:3"), "ps": ("b:1", "c:1", "d:1")}, task=Task("chief", 0))
PS = tuple(f"/job:ps/task:{index}" for index in range(3))


def embedding_model() -> None:
    """A table of 10 rows in three pieces, dense layers of several sizes, Adam."""
    partitioner = v1.fixed_size_partitioner(3)
    emb = v1.get_variable("emb", [10, 100], partitioner=partitioner, use_resource=True)
    loss = tf.reduce_sum(tf.nn.embedding_lookup(emb, [1, 5]))
    for number, rows in enumerate((50, 3, 200, 7)):
        loss += tf.reduce_sum(v1.get_variable(f"dense_{number}", [rows, 4], use_resource=True))
    step = v1.train.get_or_create_global_step()
    v1.train.AdamOptimizer().minimize(loss, global_step=step)


def placed_devices(cluster: Cluster, build: Callable[[], object]) -> dict[str, str]:
    """Device of every op, by the op's name."""
    with tf.Graph().as_default() as graph, cluster.device_scope():
        build()
    return {op.name: op.device for op in graph.get_operations()}


def test_pieces_and_variables_go_where_the_fewest_bytes_are() -> None:
    devices = placed_devices(CLUSTER, embedding_model)
    places = {name: PS.index(devices[name]) for name in devices if devices[name] in PS}
    # Pieces of 4, 3 and 3 rows of 400 bytes, then 800, 48, 3200 and 112 bytes.
    assert [places[f"emb/part_{piece}"] for piece in range(3)] == [0, 1, 2]
    assert [places[f"dense_{number}"] for number in range(4)] == [1, 2, 2, 0]


def test_variables_of_one_size_are_shared_out_evenly() -> None:
    def build() -> None:
        for number in range(7):
            v1.get_variable(f"v{number}", [8], tf.float64, use_resource=True)

    devices = placed_devices(CLUSTER, build)
    assert [PS.index(devices[f"v{number}"]) for number in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_bytes_count_and_not_elements() -> None:
    def build() -> None:
        v1.get_variable("wide", [100], tf.float64, use_resource=True)  # 800 bytes
        v1.get_variable("narrow", [150], tf.float16, use_resource=True)  # 300 bytes
        v1.get_variable("plain", [100], tf.float32, use_resource=True)  # 400 bytes
        v1.get_variable("last", [1], use_resource=True)

    devices = placed_devices(CLUSTER, build)
    assert PS.index(devices["last"]) == PS.index(devices["narrow"]) == 1


def test_optimizer_slots_stay_beside_their_piece() -> None:
    devices = placed_devices(CLUSTER, embedding_model)
    for piece in range(3):
        for slot in ("Adam", "Adam_1"):
            assert devices[f"emb/part_{piece}/{slot}"] == devices[f"emb/part_{piece}"]
    assert devices["dense_2/Adam"] == devices["dense_2"]


def test_reference_variables_are_placed_as_resource_variables_are() -> None:
    def build(use_resource: bool) -> None:
        for number, rows in enumerate((5, 3, 9, 1, 1)):
            v1.get_variable(f"v{number}", [rows], use_resource=use_resource)

    old, new = (placed_devices(CLUSTER, lambda kind=kind: build(kind)) for kind in (False, True))
    names = [f"v{number}" for number in range(5)]
    assert [old[name] for name in names] == [new[name] for name in names]


def test_all_else_goes_to_the_process_that_builds_the_graph() -> None:
    def build() -> None:
        tf.constant(1.0, name="one")
        with tf.device("/cpu:0"):
            tf.constant(2.0, name="two")
        with tf.device("/job:ps/task:2"):
            tf.constant(3.0, name="three")

    devices = placed_devices(CLUSTER.for_task("worker:1"), build)
    assert devices["one"] == "/job:worker/task:1"
    assert devices["two"] == "/job:worker/task:1/device:CPU:0"
    assert devices["three"] == "/job:ps/task:2"


def test_tasks_that_build_the_same_graph_agree_where_the_variables_are() -> None:
    def on_servers(task: str) -> dict[str, str]:
        devices = placed_devices(CLUSTER.for_task(task), embedding_model)
        return {name: device for name, device in devices.items() if device in PS}

    first, *others = (on_servers(task) for task in ("chief:0", "worker:0", "worker:1"))
    assert len(first) > 20
    assert others == [first, first]


def test_a_place_the_user_asks_for_is_kept_and_its_bytes_counted_there() -> None:
    def build() -> None:
        with tf.device("/job:ps/task:1"):
            v1.get_variable("asked", [1000], use_resource=True)
        for number in range(2):
            v1.get_variable(f"free_{number}", [10], use_resource=True)

    devices = placed_devices(CLUSTER, build)
    assert devices["asked"] == PS[1]
    assert [devices["free_0"], devices["free_1"]] == [PS[0], PS[2]]


def test_what_has_no_known_bytes_takes_turns() -> None:
    def build() -> None:
        v1.get_variable("big", [1000], use_resource=True)
        for number in range(2):
            v1.get_variable(f"text_{number}", [5], tf.string, v1.constant_initializer("a"), use_resource=True)
        v1.Variable(v1.placeholder(tf.float32), validate_shape=False, use_resource=True, name="open")
        tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="table")

    devices = placed_devices(CLUSTER, build)
    assert [devices[name] for name in ("big", "text_0", "text_1", "open", "table")] == [
        PS[0], PS[0], PS[1], PS[2], PS[0],
    ]  # fmt: skip


def test_bytes_given_to_each_server_can_be_asked_for() -> None:
    strategy = ByBytes(2)
    setter = v1.train.replica_device_setter(ps_tasks=2, ps_strategy=strategy)
    with tf.Graph().as_default(), v1.device(setter):
        for rows in (10, 20, 5):
            v1.get_variable(f"v{rows}", [rows], use_resource=True)
    assert strategy.held_bytes == [60, 80]


def test_without_parameter_servers_everything_is_on_the_task() -> None:
    def build() -> None:
        v1.get_variable("v", [2], use_resource=True)
        tf.constant(1.0, name="one")

    devices = placed_devices(Cluster({"worker": ("a:1", "a:2")}, Task("worker", 1)), build)
    assert {devices["v"], devices["one"]} == {"/job:worker/task:1"}


@pytest.mark.parametrize("cluster", [Cluster.single(), CLUSTER.for_task("evaluator:0")])
def test_a_process_on_its_own_has_no_devices_in_its_graph(cluster: Cluster) -> None:
    devices = placed_devices(cluster, lambda: v1.get_variable("v", [2], use_resource=True))
    assert set(devices.values()) == {""}


def test_a_scope_outside_a_graph_is_refused() -> None:
    order = r"with tf.Graph\(\).as_default\(\), cluster.device_scope\(\):"
    with pytest.raises(UsageError, match=order), CLUSTER.device_scope():
        pass
