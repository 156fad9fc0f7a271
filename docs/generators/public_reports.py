"""Cases from public reports about exports of sessions and of distributed jobs: where they stand, what is so here.

``tests/front_doors/test_public_reports.py`` has a test of each, of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass

TENSORFLOW = "https://github.com/tensorflow/tensorflow/issues/"
SERVING = "https://github.com/tensorflow/serving/issues/"
HUB = "https://github.com/tensorflow/hub/issues/"


@dataclass(frozen=True)
class Report:
    """One case.

    Attributes:
        pain: what people report.
        sources: where they do.
        result: what this package does with the same.
    """

    pain: str
    sources: tuple[str, ...]
    result: str


REPORTS = {
    "sparse_outputs": Report(
        "A decoder answers with a sparse tensor, and the signature's entry has no name",
        (f"{TENSORFLOW}22396", f"{TENSORFLOW}6110"),
        "Works, complete and serving: the three parts of the tensor are in the model and answer as the job does.",
    ),
    "one_tensor_many_names": Report(
        "A model with state has the same tensor as an input and as an output, or as two outputs",
        (f"{SERVING}1222",),
        "Works: each name answers, also the one that only gives back what was fed.",
    ),
    "zero_debiased_moments": Report(
        "Batch normalization debiases its moments; the export ends with an uninitialized variable `.../biased`",
        (f"{SERVING}1184", "https://github.com/keras-team/keras/issues/11544"),
        "Works: the hidden variables are saved, too. One without a value is named before anything is written.",
    ),
    "shared_columns": Report(
        "Shared embedding columns with a partitioner: the graph of the checkpoint cannot be imported any more",
        (f"{TENSORFLOW}22311",),
        "Works: the `.meta` file of the checkpoint and the model are both imported, and answer as the job does.",
    ),
    "two_synchronous_optimizers": Report(
        "A graph with two `SyncReplicasOptimizer`s: workers stand still for ever",
        (f"{TENSORFLOW}11071",),
        "Works: each update has its own gate, so a cut waits for neither. A run that would wait for both is refused.",
    ),
    "fake_quantization": Report(
        "Ranges of fake quantization are lost, and the model ends with an uninitialized variable `.../min`",
        (f"{TENSORFLOW}20886", f"{TENSORFLOW}18919"),
        "Works: ranges are variables as others, and a serving graph has those that it needs.",
    ),
    "warm_start": Report(
        "A job shall begin with the variables of a SavedModel, and has other partitions",
        (f"{TENSORFLOW}25400", f"{TENSORFLOW}14713"),
        "Works with `init_from_checkpoint` and `MODEL/variables/variables`, whole or in any partitions.",
    ),
    "initial_values_from_files": Report(
        "Initial values of variables come from a file of the training machine, which the server does not have",
        (f"{HUB}151", f"{TENSORFLOW}20803"),
        "Works: no loader runs what gives initial values. A serving graph does not even have it.",
    ),
    "state_between_requests": Report(
        "A recurrent model keeps its state in a variable between two requests",
        (f"{SERVING}724", f"{TENSORFLOW}16590"),
        "Works: the state is saved, goes on from request to request, and begins anew when the model is loaded.",
    ),
    "images_as_strings": Report(
        "Images come as encoded strings and are decoded in a loop before the first, partitioned layer",
        (f"{TENSORFLOW}29061", f"{SERVING}1626"),
        "Works, complete and serving: the loop is in the model, the layer is one variable.",
    ),
}


def page() -> str:
    """One row for each case."""
    rows = [f"| {one.pain}. | {_links(one.sources)} | {one.result} |" for one in REPORTS.values()]
    return "\n".join(["| what people report | where | here |", "|---|---|---|", *rows])


def _links(sources: tuple[str, ...]) -> str:
    return ", ".join(f"[{_short(source)}]({source})" for source in sources)


def _short(source: str) -> str:
    owner, name, _, number = source.removeprefix("https://github.com/").split("/")
    return f"{owner}/{name}#{number}"
