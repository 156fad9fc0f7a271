"""Arguments of the builder that are of the wrong kind, or in the wrong place: what is said of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import SignatureError, UsageError
from tests.support.served import ask, signatures

Add = Callable[..., ads.SavedModelBuilder]


class Job:
    """A variable, and a signature."""

    def __init__(self) -> None:
        self.x = v1.placeholder(tf.float32, [None], "x")
        self.w = v1.get_variable("w", initializer=2.0)
        self.y = tf.multiply(self.x, self.w, name="y")
        self.signatures = signatures({"x": self.x}, {"y": self.y})
        self.train_op = self.w.assign_add(1.0).op
        self.nothing = tf.no_op("nothing")
        self.saver = ads.Saver()


@pytest.fixture
def job(graph: tf.Graph) -> Job:
    return Job()


@pytest.fixture
def session(job: Job) -> Any:
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        yield session


@pytest.fixture
def add(job: Job, session: v1.Session, tmp_path: Path) -> Add:
    def add(signature_def_map: Any = None, **arguments: Any) -> ads.SavedModelBuilder:
        builder = ads.SavedModelBuilder(tmp_path / "model")
        given = {"tags": ["serve"], "saver": job.saver, **arguments}
        builder.add_meta_graph_and_variables(session, signature_def_map=signature_def_map or job.signatures, **given)
        return builder

    return add


WRONG: dict[str, tuple[Any, str]] = {
    "a name": ({"serve": "y:0"}, r"signature 'serve': 'y:0' \(str\) is not a SignatureDef"),
    "tensors": ({"serve": {"x": 1}}, r"signature 'serve': \{'x': 1\} \(dict\) is not a SignatureDef"),
    "a list": (["serve"], r"signature_def_map: \['serve'\] \(list\) is not a mapping"),
    "no names": ({3: v1.saved_model.build_signature_def()}, "signature 3: its name is not a string"),
}


@pytest.mark.parametrize(("given", "said"), WRONG.values(), ids=WRONG)
def test_what_is_no_signature_is_refused_by_name(add: Add, tmp_path: Path, given: Any, said: str) -> None:
    with pytest.raises(SignatureError, match=said) as caught:
        add(given)
    assert len(caught.value.problems) == 1
    assert not list(tmp_path.iterdir())
    builder = add()
    with pytest.raises(SignatureError, match=said):
        builder.add_meta_graph(["again"], given)
    with pytest.raises(SignatureError, match=said if isinstance(given, dict) else "build_fn: it returned"):
        builder.add_meta_graph_from(lambda: given, ["again"])


def test_a_hook_refuses_what_is_no_signature_when_it_is_made(job: Job, tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="signature 'serve': 'y:0'"):
        ads.ChiefExportHook(tmp_path, saver=job.saver, signature_def_map={"serve": "y:0"})


@pytest.mark.parametrize(
    ("arguments", "place", "what"),
    [
        ({"tags": [1, "serve"]}, "tags[0]", "1 is not a string"),
        ({"tags": 1}, "tags", "1 is not a list of tags"),
        ({"assets_extra": ["a.txt"]}, "assets_extra", "['a.txt'] is not a dictionary of files"),
        ({"assets_collection": "a.txt"}, "assets_collection", "'a.txt' is not a list of asset tensors"),
        ({"assets_list": 1}, "assets_list", "1 is not a list of asset tensors"),
        ({"warmup": [1]}, "warmup", "[1] is not a dictionary of requests"),
        ({"examples": [1]}, "examples", "[1] is not a dictionary of requests"),
        (
            {"serving": True, "moving_averages": True},
            "moving_averages",
            "True is neither moving averages nor a mapping",
        ),
    ],
)
def test_an_argument_of_another_kind_is_named(
    add: Add, tmp_path: Path, arguments: Any, place: str, what: str
) -> None:
    with pytest.raises(SignatureError) as caught:
        add(**arguments)
    assert [(problem.place, problem.what) for problem in caught.value.problems] == [(place, what)]
    assert not list(tmp_path.iterdir())


def test_a_tensor_is_no_list_of_assets(add: Add) -> None:
    with pytest.raises(SignatureError, match=r"assets_collection: .* is not a list of asset tensors"):
        add(assets_collection=tf.constant(__file__))


@pytest.mark.parametrize("returned", ["nothing", "a tensor", "one signature"])
def test_a_function_that_builds_a_graph_has_to_return_signatures(add: Add, job: Job, returned: str) -> None:
    builder = add()

    def build() -> Any:
        w = v1.get_variable("w", [])
        one = v1.saved_model.build_signature_def()
        return {"nothing": None, "a tensor": w + 1.0, "one signature": one}[returned]

    with pytest.raises(SignatureError, match=r"build_fn: it returned .*\n    fix: return a dictionary"):
        builder.add_meta_graph_from(build, ["built"])


def test_anything_that_is_iterable_is_a_list(add: Add, tmp_path: Path) -> None:
    add(tags=(tag for tag in ("a", "b")), assets_collection=iter([tf.constant(__file__)])).save()
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, ["a", "b"], str(tmp_path / "model"))
    assert (tmp_path / "model" / "assets" / Path(__file__).name).is_file()


def test_a_meta_graph_may_have_no_tags(add: Add, tmp_path: Path) -> None:
    add(tags=[]).save()
    assert ask(tmp_path / "model", {"x": [3.0]}, [])[0]["y"] == [6.0]
    assert "serving_default" in tf.saved_model.load(str(tmp_path / "model"), tags=[]).signatures


@pytest.mark.parametrize("cleared", [True, False])
def test_arguments_in_the_order_of_the_internal_builder_have_to_be_named(
    job: Job, session: v1.Session, tmp_path: Path, *, cleared: bool
) -> None:
    builder = ads.SavedModelBuilder(tmp_path / "model")
    said = "legacy_init_op: .* no operation.*\n    fix: give clear_devices, .* by name"
    with pytest.raises(SignatureError, match=said):
        builder.add_meta_graph_and_variables(
            session, ["serve"], job.signatures, None, cleared, job.nothing, job.train_op, False, job.saver
        )
    builder.add_meta_graph_and_variables(session, ["train"], saver=job.saver)
    with pytest.raises(SignatureError, match="legacy_init_op: "):
        builder.add_meta_graph(["serve"], job.signatures, None, cleared, job.nothing, job.train_op, job.saver)


def test_the_asset_that_is_none_is_named_by_its_argument(add: Add) -> None:
    for argument in ("assets_collection", "assets_list"):
        with pytest.raises(SignatureError, match=rf"1\. {argument}\[0\]: "):
            add(**{argument: [tf.constant(1)]})


def test_a_session_that_is_none_is_not_called_closed(job: Job, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sess is None: give the session"):
        ads.SavedModelBuilder(tmp_path / "model").add_meta_graph_and_variables(None, ["serve"], saver=job.saver)
