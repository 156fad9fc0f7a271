"""Where the arguments of a front door become a request: the one place that knows how users may give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import Problem, SaverRequiredError, SignatureError
from autodist_saved.graph.arguments.examples import Examples
from autodist_saved.graph.arguments.extra_files import ExtraFiles
from autodist_saved.graph.arguments.lists_and_maps import tuple_or_dict
from autodist_saved.graph.arguments.signature_map import check_signature_map
from autodist_saved.graph.graph_def.devices import Devices
from autodist_saved.graph.request import MetaGraphRequest
from autodist_saved.pipeline.moving_averages import MovingAverages
from autodist_saved.pipeline.serving_variables import FirstMetaGraph, serving_of
from autodist_saved.sources.staging_ops import StagingOps
from autodist_saved.tf_internals import private_api


@dataclass(frozen=True)
class MetaGraphArguments:
    """What users say of one meta graph, as they gave it.

    The fields are the arguments of :meth:`SavedModelBuilder.add_meta_graph_and_variables` but session and saver, and
    are documented there. An unknown name raises ``TypeError``, as in any call.

    Raises:
        SignatureError: the signatures are no mapping of names to ``SignatureDef``.
        AssertionError, KeyError: signatures are incomplete or use a reserved name, as in TensorFlow's builder.
    """

    tags: Sequence[str]
    signature_def_map: Mapping[str, Any] | None = None
    assets_collection: Iterable[tf.Tensor] | None = None
    legacy_init_op: Any = None
    clear_devices: Devices = True
    main_op: Any = None
    strip_default_attrs: bool = False
    train_op: Any = None
    assets_list: Iterable[tf.Tensor] | None = None
    init_op: Any = None
    assets_extra: ExtraFiles | None = None
    warmup: Examples | None = None
    examples: Examples | None = None
    serving: bool = False
    moving_averages: MovingAverages | None = None

    def __post_init__(self) -> None:
        check_signature_map(self.signature_def_map or {})
        private_api.validate_signatures(self.signature_def_map or {})


def request_from_arguments(
    graph: tf.Graph,
    saver: v1.train.Saver | None,
    staging: StagingOps | None,
    arguments: MetaGraphArguments,
    first: FirstMetaGraph | None = None,
) -> MetaGraphRequest:
    """The request that arguments stand for. What it cannot make out is among its ``known_problems``.

    Args:
        graph: to be described.
        saver: of that graph; None for one that is made in the copy of it.
        staging: the saver's ops; None for a saver that has none, such as TensorFlow's own.
        arguments: of the user.
        first: where this is a later meta graph on captured variables.

    Raises:
        SignatureError: ``legacy_init_op`` is a bool, as if it were TensorFlow's internal builder.
        SaverRequiredError: a serving graph has no saver of ours.
    """
    problems: list[Problem] = []
    serving = None
    if arguments.serving:
        if staging is None:
            raise SaverRequiredError(
                "a serving graph has the variables that its saver names: make an autodist_saved.Saver in that graph"
            )
        serving, found = serving_of(staging, arguments.moving_averages, first)
        problems += found
    elif arguments.moving_averages is not None:
        what = "a training graph has averages of its own"
        problems.append(Problem("moving_averages", what, "give moving_averages with serving=True"))

    def take(name: str, value: Any) -> Any:
        form, found = tuple_or_dict(name, value)
        problems.extend(found)
        return form

    def op(value: Any) -> Any:
        return private_api.unwrap_resource_assign(value)

    return MetaGraphRequest(
        graph,
        saver,
        tags=take("tags", arguments.tags),
        signatures=dict(arguments.signature_def_map or {}),
        assets_collection=take("assets_collection", arguments.assets_collection),
        assets_list=take("assets_list", arguments.assets_list),
        main_op=op(_main_op(arguments)),
        init_op=op(arguments.init_op),
        train_op=op(arguments.train_op),
        clear_devices=arguments.clear_devices,
        strip_default_attrs=arguments.strip_default_attrs,
        assets_extra=take("assets_extra", arguments.assets_extra),
        warmup=take("warmup", arguments.warmup),
        examples=take("examples", arguments.examples),
        serving=serving,
        known_problems=tuple(problems),
    )


def _main_op(arguments: MetaGraphArguments) -> Any:
    """The op that loading runs, from the argument or its old name."""
    if isinstance(arguments.legacy_init_op, bool):
        what = (
            f"{arguments.legacy_init_op} is no operation; TensorFlow's internal builder has clear_devices at this "
            "position"
        )
        fix = "give clear_devices, init_op, train_op and all after them by name"
        raise SignatureError(
            "the meta graph cannot be written as asked for", problems=[Problem("legacy_init_op", what, fix)]
        )
    return arguments.main_op if arguments.main_op is not None else arguments.legacy_init_op
