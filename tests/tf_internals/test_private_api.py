"""TensorFlow's private parts that we use are where they were, and do what they did. One module alone uses them."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef
from tensorflow.python.saved_model.pywrap_saved_model import metrics

import autodist_saved
from autodist_saved.tf_internals import private_api as private

PACKAGE = Path(autodist_saved.__file__).parent
OTHERS = [path for path in PACKAGE.rglob("*.py") if path != Path(private.__file__) and "_pb2" not in path.name]
# Keras runs sessions by this method, past the public ones, and a session of ours has to see each run.
# Subclasses of TensorFlow's builder, and their tests, read what it keeps in these.
OVERRIDDEN = {
    "GatedSession": {"_make_callable_from_options"},
    "SavedModelBuilder": {"_export_dir", "_has_saved_variables", "_saved_asset_files", "_saved_model"},
}


def test_saveables_carry_names_slices_and_devices(graph: tf.Graph) -> None:
    v1.get_variable("table", [5, 2], partitioner=v1.fixed_size_partitioner(2))
    specs = [spec for saveable in private.saveables_of(v1.train.Saver()) for spec in saveable.specs]
    assert [(spec.name, spec.slice_spec) for spec in specs] == [("table", "5 2 0,3:0,2"), ("table", "5 2 3,2:0,2")]
    assert all(isinstance(spec.tensor, tf.Tensor) and isinstance(spec.device, str) for spec in specs)


def test_saveables_follow_a_map_of_names(graph: tf.Graph) -> None:
    variable = v1.get_variable("w", [2])
    (saveable,) = private.saveables_of(v1.train.Saver({"renamed": variable}))
    assert saveable.specs[0].name == "renamed"


def test_savers_of_definitions_do_not_know_their_variables(graph: tf.Graph) -> None:
    v1.get_variable("w", [2])
    saver = v1.train.Saver()
    assert private.knows_its_variables(saver)
    by_name = v1.train.Saver(saver_def=saver.as_saver_def())
    assert not private.knows_its_variables(by_name)
    assert private.saveables_of(by_name) == []


def test_savers_tell_whether_they_reshape(graph: tf.Graph) -> None:
    v1.get_variable("w", [2])
    assert private.reshapes(v1.train.Saver(reshape=True))
    assert not private.reshapes(v1.train.Saver())


def test_savers_tell_whether_they_are_built(graph: tf.Graph) -> None:
    empty = v1.train.Saver(allow_empty=True, defer_build=True)
    assert not private.is_built(empty)
    empty.build()
    assert private.is_built(empty)


def test_kernels_are_known() -> None:
    assert private.has_cpu_kernel("Fill", "T", tf.float32)
    assert not private.has_cpu_kernel("Fill", "T", tf.dtypes.experimental.float8_e5m2)
    assert private.has_cpu_kernel("Const", "dtype", tf.dtypes.experimental.float8_e5m2)
    assert not private.has_cpu_kernel("NoSuchOp", "T", tf.float32)


def test_models_are_counted() -> None:
    calls, models = metrics.GetWriteApi("save_v1_builder"), metrics.GetWrite(write_version="1")
    private.count_save()
    private.count_saved_model()
    assert (metrics.GetWriteApi("save_v1_builder"), metrics.GetWrite(write_version="1")) == (calls + 1, models + 1)


def test_sessions_tell_their_device_filters_and_whether_they_are_closed(graph: tf.Graph) -> None:
    with v1.Session(config=v1.ConfigProto(device_filters=["/job:ps"])) as session:
        assert private.device_filters(session) == ("/job:ps",)
        assert not private.is_closed(session)
    assert private.is_closed(session)
    with v1.Session() as session:
        assert private.device_filters(session) == ()


def test_sessions_have_an_interface_that_others_can_have_too(graph: tf.Graph) -> None:
    with v1.Session() as session:
        assert isinstance(session, private.SessionInterface)


def test_references_are_told_from_values(graph: tf.Graph) -> None:
    variable = v1.get_variable("old", [1], use_resource=False)
    (saveable,) = private.saveables_of(v1.train.Saver([variable]))
    assert isinstance(saveable, private.ReferenceVariableSaveable)
    assert private.is_reference(private.reference_of(saveable))
    assert private.reference_of(saveable).op.type == "VariableV2"
    assert not private.is_reference(tf.constant(1))


def test_tensorflows_own_checks_of_signatures_are_called(graph: tf.Graph) -> None:
    x = v1.placeholder(tf.float32)
    signature = v1.saved_model.predict_signature_def({"x": x}, {"x": x})
    private.validate_signatures({"p": signature})
    with pytest.raises(KeyError, match="reserved"):
        private.validate_signatures({private.INIT_OP_SIGNATURE_KEY: signature})
    signature.inputs["x"].ClearField("name")
    with pytest.raises(AssertionError, match="must have one of the 'encoding' fields"):
        private.validate_signatures({"p": signature})


def test_asset_files_get_names_that_do_not_collide(graph: tf.Graph, tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "words.txt").write_text(folder)
    tensors = [tf.constant(str(tmp_path / folder / "words.txt")) for folder in "ab"]
    written: list[tuple[Any, Any]] = []
    files = private.asset_files(tensors, lambda name, tensor: written.append((name, tensor.name)))
    assert sorted(files) == [b"words.txt", b"words.txt_1"]
    assert len(written) == 2


def test_asset_tensors_are_constant_paths(graph: tf.Graph) -> None:
    assert private.asset_path(tf.constant("words.txt")) == "words.txt"
    with pytest.raises(TypeError, match="Asset path tensor"):
        private.asset_path(tf.identity("words.txt"))


def test_the_keys_of_init_and_train_ops_are_those_that_loaders_read() -> None:
    assert private.INIT_OP_SIGNATURE_KEY == "__saved_model_init_op"
    assert private.TRAIN_OP_KEY == "saved_model_train_op"
    assert private.TRAIN_OP_SIGNATURE_KEY == "__saved_model_train_op"


def test_what_assign_returns_is_unwrapped(graph: tf.Graph) -> None:
    variable = v1.get_variable("w", initializer=np.float32(0), use_resource=True)
    added = variable.assign_add(1.0)
    assert isinstance(private.unwrap_resource_assign(added), tf.Operation)
    constant = tf.constant(1)
    assert private.unwrap_resource_assign(constant) is constant
    assert private.unwrap_resource_assign(None) is None


def test_an_op_can_be_made_to_wait_for_another_one(graph: tf.Graph) -> None:
    first, second = tf.no_op(), tf.no_op()
    private.add_control_input(second, first)
    assert second.control_inputs == [first]
    assert private.control_outputs(first) == [second]


def test_an_op_can_be_put_on_a_device(graph: tf.Graph) -> None:
    operation = tf.constant(1).op
    private.place(operation, "/job:worker/task:1")
    assert operation.device == "/job:worker/task:1"


@pytest.mark.slow
def test_a_fresh_process_knows_what_tensorflow_registers_by_itself() -> None:
    asked = frozenset({"MatMul", "XlaCallModule", "HorovodAllreduce"})
    assert private.ops_of_plain_tensorflow(asked) == {"MatMul", "XlaCallModule"}


def test_a_fingerprint_is_made_of_a_directory(graph: tf.Graph, tmp_path: Path) -> None:
    v1.get_variable("w", initializer=1.0)
    builder = v1.saved_model.Builder(str(tmp_path / "model"))
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder.add_meta_graph_and_variables(session, ["serve"])
    builder.save()
    (tmp_path / "model" / "fingerprint.pb").write_bytes(private.fingerprint(str(tmp_path / "model")))
    assert tf.saved_model.experimental.read_fingerprint(str(tmp_path / "model")).checkpoint_hash


def test_definitions_of_ops_tell_what_they_take_and_whether_they_have_effects() -> None:
    assert [argument.name for argument in private.op_definition("AddV2").output_arg] == ["z"]
    assert private.op_definition("Assign").input_arg[0].is_ref
    assert private.op_definition("NobodyKnowsIt") is None
    assert private.is_stateful("AssignVariableOp")
    assert private.is_stateful("NobodyKnowsIt")
    assert not private.is_stateful("AddV2")
    for op_type in ("AssignVariableOp", "Assign", "IdentityN", "NobodyKnowsIt"):
        assert private.takes_resources(op_type), "a handle, a reference, anything, and nobody knows what"
    assert not private.takes_resources("AddV2")


def test_collections_of_variables_are_known_by_their_proto() -> None:
    assert private.collection_proto_type(v1.GraphKeys.TRAINABLE_VARIABLES) is variable_pb2.VariableDef
    assert private.collection_proto_type("of nothing in particular") is None


def test_a_saver_takes_saveable_objects(graph: tf.Graph, tmp_path: Path) -> None:
    class Seven(private.SaveableObject):
        def restore(self, restored_tensors: Any, restored_shapes: Any) -> tf.Operation:
            return tf.group(restored_tensors[0], name="restored")

    seven = tf.constant(7)
    saver = v1.train.Saver({"seven": Seven(seven, [private.SaveSpec(seven, "", "seven")], "seven")})
    with v1.Session() as session:
        path = saver.save(session, str(tmp_path / "seven"))
    assert tf.train.load_variable(path, "seven") == 7
    assert graph.get_operation_by_name("save/restored")


def test_a_saver_takes_tensors_for_variables(graph: tf.Graph) -> None:
    handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name="v")
    read = tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
    (saveable,) = private.saveables_of(v1.train.Saver({"v": read}))
    assert isinstance(saveable, private.ResourceVariableSaveable)
    assert saveable.handle_op is handle


def test_a_fingerprint_fits_the_model_that_it_was_made_of(tmp_path: Path) -> None:
    for name, value in (("one", 1.0), ("two", 2.0)):
        module = tf.Module()
        module.w = tf.Variable(value)
        tf.saved_model.save(module, str(tmp_path / name))
    ours, theirs = ((tmp_path / name / "fingerprint.pb").read_bytes() for name in ("one", "two"))
    assert private.fingerprint_fits(str(tmp_path / "one"), ours)
    assert not private.fingerprint_fits(str(tmp_path / "one"), theirs), "its variables are others"
    assert private.fingerprint_fits(str(tmp_path / "one"), _of_version(99, theirs)), "nobody can know"
    for damaged in (b"", ours[:20], FingerprintDef(saved_model_checksum=1).SerializeToString()):
        with pytest.raises(ValueError):
            private.fingerprint_fits(str(tmp_path / "one"), damaged)
    (tmp_path / "one" / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ValueError):
        private.fingerprint_fits(str(tmp_path / "one"), ours)


def _of_version(producer: int, fingerprint: bytes) -> bytes:
    proto = FingerprintDef.FromString(fingerprint)
    proto.version.producer = producer
    return proto.SerializeToString()


def test_every_use_has_a_test_here() -> None:
    offered = {name for name in vars(private) if not name.startswith("_")} - {"annotations"}
    own = {name for name in offered if getattr(vars(private)[name], "__module__", "") == private.__name__}
    aliases = {name for name, value in vars(private).items() if name in offered and _is_tensorflows(value)}
    asked = {node.attr for node in ast.walk(ast.parse(Path(__file__).read_text())) if isinstance(node, ast.Attribute)}
    assert own | aliases | {name for name in offered if name.isupper()} <= asked


def _is_tensorflows(value: object) -> bool:
    return inspect.isclass(value) and value.__module__.startswith("tensorflow.python")


def test_nobody_else_imports_private_modules() -> None:
    for path in OTHERS:
        assert "tensorflow.python" not in path.read_text(), path


def test_nobody_else_asks_foreign_objects_for_private_attributes() -> None:
    """An attribute is foreign where no class or function of the module has that name, nor sets it on itself."""
    for path in OTHERS:
        tree = ast.parse(path.read_text())
        private_ones = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_private(node.attr)]
        own = {node.attr for node in private_ones if ast.unparse(node.value) in {"self", "cls"}}
        own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        own |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}  # fields of classes
        foreign = {ast.unparse(node) for node in private_ones if node.attr not in own}
        foreign |= set(_asked_by_name(tree))
        assert {name for name in foreign if not name.endswith(("os._exit", "._replace"))} == set(), path


def _is_private(name: object) -> bool:
    return isinstance(name, str) and bool(re.match("_[^_]", name))


def _asked_by_name(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "setattr", "hasattr", "delattr"}:
            name = node.args[1]
            if isinstance(name, ast.Constant) and _is_private(name.value):
                yield ast.unparse(node)


def test_classes_of_ours_have_no_name_in_common_with_private_parts_of_their_parents() -> None:
    """They would use such a part, or replace it without knowing."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "autodist_saved."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if not inspect.isclass(value) or not value.__module__.startswith("autodist_saved"):
                continue
            parents = [parent for parent in value.__mro__ if parent.__module__.startswith(("tensorflow", "keras"))]
            theirs = {part for parent in parents for part in (*dir(parent), *_set_on_themselves(parent))}
            tree = ast.parse(inspect.getsource(value)) if parents else ast.Module([], [])
            ours = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            ours |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert {part for part in ours & theirs if _is_private(part)} == OVERRIDDEN.get(name, set()), name


def _set_on_themselves(parent: type) -> list[str]:
    return re.findall(r"self\.(_\w+)", inspect.getsource(parent))
