"""``verify="full"``: makes the same calls to the job and to the model, and compares the answers."""

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
from autodist_saved.verification.live_model import LiveModel
from autodist_saved.verification.question import Question, fetches, questions

log = logging.getLogger(__name__)

_FIX = "the model was not published; look at this signature in the job and in the model, and export again"
_LATER = "its meta graph was added after the variables were captured, when training had continued"


@dataclass
class _Asked:
    """A call of a signature, and how to treat its answer.

    Attributes:
        question: the call to the job.
        call: the same call to the model.
        doubt: why the answers cannot be compared; empty if they can.
        live: the job's answer.
    """

    question: Question
    call: Call
    doubt: str = ""
    live: Mapping[str, Array] = field(default_factory=dict)


class Verification:
    """Compares the answers of the job at the captured moment with those of the loaded model.

    The chief calls :meth:`add` for each meta graph, :meth:`ask_job` during the cut, and :meth:`check` at the end.
    """

    def __init__(self, options: ExportOptions) -> None:
        """Calls nothing yet."""
        self._options = options
        self._job: LiveModel | None = None
        self._graphs: dict[tuple[str, ...], list[_Asked]] = {}
        self._outcomes: dict[str, str] = {}

    def add(self, description: Description, meta_graph: MetaGraph, live: LiveModel | None = None) -> None:
        """Include a meta graph. The job makes all calls once, so that they take less time during the cut.

        Args:
            description: of the job's graph.
            meta_graph: the meta graph that is written.
            live: the job that will be captured; None if the variables are captured already, or no job runs.

        Raises:
            SignatureError: the job cannot answer examples. The error lists all of them.
        """
        if live is not None:
            self._job = live
        tags = tuple(sorted(description.tags))
        if tags in self._graphs:
            log.warning(
                "the model has a graph with the tags %s already, which loaders use; this one is not checked", tags
            )
            return
        asked = list(self._asked(tags, description, meta_graph, is_captured=live is not None))
        # Calls with doubt come last: some of them change variables, and so the answers of the calls after them.
        self._graphs[tags] = sorted(self._answerable(tags, asked), key=lambda one: bool(one.doubt))

    def ask_job(self) -> None:
        """Make the calls to the job. Called during the cut, while the variables have the captured values.

        Raises:
            VerifyError: the job does not answer a call that it has answered before.
            tf.errors.OpError: the job is lost.
        """
        if self._job is None:
            return
        for asked in self._graphs.values():
            for one in asked:
                if not one.doubt:
                    one.live = self._job.answer(one.question)

    def check(self, model: Path) -> dict[str, str]:
        """Load the model, make the calls, and compare the answers.

        Args:
            model: directory of the staged model.

        Returns:
            the outcome for each signature, as text for people.

        Raises:
            VerifyError: the model cannot be loaded, or its answers differ. The error lists all problems.
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
            head = "the written model does not answer as the job does"
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
        """Why the job's answers may differ from the model's, or cannot be had; empty if they must be equal."""
        if description.doubt:
            return description.doubt
        if self._job is not None and self._job.is_changed_by(key):
            return "the job cannot be called, because the call would change variables"
        return ""

    def _answerable(self, tags: tuple[str, ...], asked: list[_Asked]) -> list[_Asked]:
        """Make all calls to the job once, and return those that it can answer.

        Calls with made-up inputs that it cannot answer are left out; examples that it cannot answer are an error.
        """
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
            raise SignatureError("the job cannot answer the examples", problems=problems)
        return answerable

    def _judge(self, tags: tuple[str, ...], one: _Asked, loaded: Reply) -> Iterator[Problem]:
        """Compare an answer of the model. Yields its problems; without any, records the outcome."""
        place, with_what = _place(tags, one.question.signature), one.question.kind_of_inputs
        if loaded.error is not None:
            if one.doubt and one.question.number is None:  # it is not known whether the job could answer it
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
