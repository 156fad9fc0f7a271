"""The sets of op types are what this TensorFlow has: no member is unknown to it, and none of a kind is missing."""

from __future__ import annotations

import re

import pytest
import tensorflow as tf

from autodist_saved.tf_internals import op_types, private_api

SETS = {name: value for name, value in vars(op_types).items() if isinstance(value, frozenset)}
# TensorFlow puts them into graphs by itself, so tf.raw_ops does not list them.
UNLISTED = {"_ReadVariablesOp", "IsResourceHandleRefCounting"}
DEFINITIONS = {
    name: definition
    for name in {*dir(tf.raw_ops), *UNLISTED}
    if (definition := private_api.op_definition(name)) is not None
}
HOLDERS = {
    name
    for name, definition in DEFINITIONS.items()
    if any(output.type == tf.resource.as_datatype_enum or output.is_ref for output in definition.output_arg)
}


def like(pattern: str, *, but: str = "$^") -> set[str]:
    """Types of ops whose names tell what they are."""
    return {name for name in DEFINITIONS if re.search(pattern, name) and not re.search(but, name)}


def holders_like(pattern: str, *, but: str = "$^") -> set[str]:
    """Those of them that give handles, or references."""
    return like(pattern, but=but) & HOLDERS


def stateful_like(pattern: str, *, but: str = "$^") -> set[str]:
    """Those of them whose results depend on more than their inputs."""
    return {name for name in like(pattern, but=but) if DEFINITIONS[name].is_stateful}


KINDS = {
    "REFERENCE_VARIABLES": holders_like("^Variable"),
    "VARIABLES": holders_like("^Variable|^VarHandle"),
    "UPDATES": like("^Assign"),
    "ASK_WHETHER_INITIALIZED": like("^Is.*Initialized|Var.*Initialized", but="Ensemble|Quantile|TPU"),
    "VARIABLE_READS": like(
        "^_?ReadVariable|^ResourceGather|^VariableShape|^VarIs|^IsVariable|^DisableCopyOnRead|^IsResourceHandle"
    ),
    "STATIC_TABLES": holders_like("HashTable", but="Mutable"),
    "MUTABLE_TABLES": holders_like("Mutable.*HashTable"),
    "TABLE_READS": like("^LookupTable(Find|Size|Export)"),
    "ENTERS": like("^(Ref)?Enter$"),
    "NEXT_ITERATIONS": like("^(Ref)?NextIteration$"),
    "SWITCHES": like("^(Ref)?Switch$"),
    "MERGES": like("^(Ref)?Merge$"),
    "EXITS": like("^(Ref)?Exit$"),
    "PASS_ON": like("^(Ref)?(Identity|Switch|Merge|Enter|Exit|NextIteration|Select)$"),
    "CALLS": like("^(Stateful)?PartitionedCall$"),
    "LOOPS": like("^(Stateless)?While$"),
    "BRANCHES": like("^(Stateless)?(If|Case)$"),
    "QUEUES": holders_like("Queue"),
    "ACCUMULATORS": holders_like("Accumulator"),
    "ITERATORS": holders_like("Iterator"),
    "READERS": holders_like("Reader"),
    "TENSOR_ARRAYS": like("^TensorArray(V.|Grad.*)?$"),
    "STACKS": holders_like("^Stack"),
    "NEVER_SAVED": holders_like("Queue|Accumulator|Iterator|Barrier|Stack|TensorArray|Reader|Summary")
    | like("^TensorArray(Grad)?V2$"),
    "DEQUEUES": like("^QueueDequeue"),
    "ENQUEUES": like("^QueueEnqueue"),
    "GRADIENT_TAKES": like("TakeGradient$"),
    "ITERATOR_INITIALIZERS": like("^MakeIterator$|^MultiDeviceIteratorInit$"),
    "TENSOR_ARRAY_OPS": like("^TensorArray"),
    "PLACEHOLDERS": like("^Placeholder", but="WithDefault"),
    "PRINTS": like("^Print(V2)?$"),
    "PYTHON_CALLS": like("PyFunc"),
    "RANDOM": stateful_like(
        "Random|Rng|Sample|Multinomial|Shuffle|Normal|Uniform|Poisson|Gamma|Bernoulli|Binomial|Noise|Dropout",
        but="Dataset|Queue|RandomSeedGenerator|RngSkip|StatelessRandomGetAlg|AllCandidateSampler",
    ),
    "CONCATENATIONS": like("^Concat(V2)?$"),
    "STITCHES": like("DynamicStitch$"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_whole(kind: str) -> None:
    assert SETS[kind] == KINDS[kind]


@pytest.mark.parametrize("kind", SETS)
def test_tensorflow_knows_every_member(kind: str) -> None:
    assert SETS[kind] <= DEFINITIONS.keys()


def test_what_passes_its_first_input_on_has_outputs_of_that_type_alone() -> None:
    for op_type in op_types.PASS_THROUGH:
        definition = DEFINITIONS[op_type]
        assert {output.type_attr for output in definition.output_arg} == {definition.input_arg[0].type_attr}, op_type


def test_what_initializes_an_iterator_takes_it_for_its_second_input() -> None:
    for op_type in op_types.ITERATOR_INITIALIZERS:
        assert "iterator" in DEFINITIONS[op_type].input_arg[1].name
