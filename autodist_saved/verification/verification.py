"""``verify="full"``: the job, and the model that is made of it, are asked the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autodist_saved.errors import Problem, SignatureError, VerifyError
from autodist_saved.graph.checks.nondeterminism import nondeterministic_signatures
from autodist_saved.graph.description import Description, MetaGraph
from autodist_saved.graph.graph_def.signature_defs import is_for_users
from autodist_saved.options import ExportOptions
from autodist_saved.verification.comparison import Array, difference
from autodist_saved.verification.fresh_process import Call, Reply, load_and_call
from autodist_saved.verification.live import LiveModel
from autodist_saved.verification.question import Question, fetches, questions

log = logging.getLogger(__name__)

_FIX = "nothing was made visible; look at this signature in the job and in the model, and export again"
_LATER = "it was added after the variables were captured, when training had gone on"


@dataclass
class _Asked:
    """A question, and what is to be made of its answer.

    Attributes:
        question: the question.
        call: the same to the model.
        doubt: why the answer is not compared; empty where it is.
        live: what the job answered.
    """

    question: Question
    call: Call
    doubt: str = ""
    live: Mapping[str, Array] = field(default_factory=dict)


class Verification:
    """What the job was asked at the moment that was captured, and what the model answers when it is loaded."""

    def __init__(self, options: ExportOptions) -> None:
        """Asks nobody."""
        self._options = options
        self._job: LiveModel | None = None
        self._graphs: dict[tuple[str, ...], list[_Asked]] = {}
        self._outcomes: dict[str, str] = {}

    def add(self, description: Description, meta_graph: MetaGraph, live: LiveModel | None = None) -> None:
        """Ask for a meta graph, too. The job answers already, so that it takes less time when it matters.

        Args:
            description: of the live model.
            meta_graph: what is written.
            live: the model, which is to be captured; None where its moment is gone, or there never was one.

        Raises:
            SignatureError: the job cannot answer the examples; all of them.
        """
        if live is not None:
            self._job = live
        tags = tuple(sorted(description.tags))
        if tags in self._graphs:
            log.warning(
                "there is a graph with the tags %s already, which loaders take; this one is not checked", tags
            )
            return
        asked = list(self._asked(tags, description, meta_graph, is_captured=live is not None))
        # What may change variables comes last.
        self._graphs[tags] = sorted(self._answerable(tags, asked), key=lambda one: bool(one.doubt))

    def ask_job(self) -> None:
        """Have the job answer. Called while its variables are as they are captured.

        Raises:
            VerifyError: it does not answer what it has answered before.
            tf.errors.OpError: it is gone.
        """
        if self._job is None:
            return
        for asked in self._graphs.values():
            for one in asked:
                if not one.doubt:
                    one.live = self._job.answer(one.question)

    def check(self, model: Path) -> dict[str, str]:
        """Load the model, and compare.

        Args:
            model: its directory.

        Returns:
            by signature what was found out.

        Raises:
            VerifyError: it cannot be loaded, or answers otherwise; all problems at once.
        """
        calls = [(tags, [one.call for one in asked]) for tags, asked in self._graphs.items()]
        replies = load_and_call(model, calls, self._options.verify_timeout_secs)
        problems: list[Problem] = []
        for (tags, asked), (loaded, answers) in zip(self._graphs.items(), replies, strict=True):
            if loaded.error is not None:
                problems.append(Problem(f"graph {', '.join(tags)}", f"it cannot be loaded: {loaded.error}", _FIX))
                continue
            for one, answer in zip(asked, answers, strict=True):
                problems += self._judge(tags, one, answer)
        if problems:
            head = "the model that was written is not what the job is"
            raise VerifyError(head, problems=problems, path=str(model))
        for place, outcome in self._outcomes.items():
            log.log(logging.INFO if outcome.startswith("equal") else logging.WARNING, "%s: %s", place, outcome)
        return dict(self._outcomes)

    def _asked(
        self, tags: tuple[str, ...], description: Description, meta_graph: MetaGraph, *, is_captured: bool
    ) -> Iterator[_Asked]:
        written = meta_graph.proto.signature_def
        doubted = nondeterministic_signatures(meta_graph.proto)
        for key in filter(is_for_users, sorted(description.signatures)):
            doubt = self._doubt(key, description) if is_captured else _LATER
            try:
                asked = questions(key, description.signatures[key], description.examples.get(key, ()))
            except TypeError as error:
                self._outcomes[_place(tags, key)] = f"not checked: {error}"
                continue
            for question in asked:
                call = Call(str(question), question.feeds(written[key]), fetches(written[key]))
                yield _Asked(question, call, doubt or doubted.get(key, ""))

    def _doubt(self, key: str, description: Description) -> str:
        """Why the answers of the job that is captured are not those of the model."""
        if description.doubt:
            return description.doubt
        if self._job is not None and self._job.is_changed_by(key):
            return "the job cannot be asked, because it would change variables"
        return ""

    def _answerable(self, tags: tuple[str, ...], asked: list[_Asked]) -> list[_Asked]:
        """Have the job answer all once. What it cannot is an error, or, where inputs were made up, left out."""
        answerable, problems = [], []
        for one in asked:
            try:
                if not one.doubt and self._job is not None:
                    self._job.answer(one.question)
            except VerifyError as error:
                (problem,) = error.problems
                if one.question.number is None:
                    outcome = f"not checked: {problem.what}; {problem.fix}"
                    self._outcomes[_place(tags, one.question.signature)] = outcome
                    continue
                place = f"examples[{one.question.signature!r}][{one.question.number}]"
                problems.append(Problem(place, problem.what, problem.fix))
            answerable.append(one)
        if problems:
            raise SignatureError("the examples cannot be answered", problems=problems)
        return answerable

    def _judge(self, tags: tuple[str, ...], one: _Asked, loaded: Reply) -> Iterator[Problem]:
        """What is wrong with an answer of the model; if nothing is, remember that."""
        place, with_what = _place(tags, one.question.signature), one.question.kind_of_inputs
        if loaded.error is not None:
            if one.doubt and one.question.number is None:  # and nobody knows whether the job could
                self._outcomes[place] = (
                    f"not checked: it cannot answer {with_what}: {loaded.error}; {one.question.fix}"
                )
            else:
                yield Problem(one.call.what, f"the loaded model cannot answer it: {loaded.error}", _FIX)
        elif one.doubt:
            self._outcomes[place] = f"called with {with_what}, not compared: {one.doubt}"
        else:
            narrow = self._job is not None and self._job.has_gpus
            for label, live in one.live.items():
                if what := difference(live, loaded.answers[label], narrow=narrow):
                    yield Problem(f"{one.call.what}, output {label!r}", what, _FIX)
            self._outcomes[place] = f"equal for {with_what}"


def _place(tags: tuple[str, ...], signature: str) -> str:
    return f"{', '.join(tags)}: {signature}"
