"""Every error of this package, ordered by what its receiver can do about it.

========================  ====================================================
:class:`UsageError`       change the program: a call is wrong or in the wrong place
:class:`ConfigError`      change the configuration: a cluster file, ``TF_CONFIG``, options
:class:`TargetError`      change the place a model is written to
:class:`JobError`         look at the job: a task is gone, silent or failed
:class:`ExportError`      nothing became visible; the export may be tried again
:class:`BundleError`      files of variables are damaged or are no tensor bundle
:class:`ModelError`       files of a SavedModel are missing, damaged or another model's
:class:`UnreadableError`  look at permissions, the disk and the network: what is there could not be read
========================  ====================================================

Where a built-in exception describes the same mistake, it is a parent too, so that ``except ValueError``
written for TensorFlow's own classes goes on working. All errors can be pickled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class AutodistSavedError(Exception):
    """Parent of all errors raised by this package.

    Attributes:
        message: what happened and what to do next.
        task: the task it happened on or is about, such as ``ps:1``; None when it is about no single task.
        phase: the phase of the export, such as ``stream``; None outside an export.
        variable: full name of the variable it is about, or None.
        path: the file or directory it is about, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        task: str | None = None,
        phase: str | None = None,
        variable: str | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.task = task
        self.phase = phase
        self.variable = variable
        self.path = path

    def __str__(self) -> str:
        context = [
            f"{name}: {value}"
            for name in ("phase", "task", "variable", "path")
            if (value := getattr(self, name)) is not None and value not in self.message
        ]
        return f"{self.message} [{'; '.join(context)}]" if context else self.message


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a piece of input: where, what, and how to mend it."""

    place: str
    what: str
    fix: str

    @classmethod
    def of(cls, error: AutodistSavedError, place: str, fix: str = "") -> Problem:
        """An error among others. Its message may begin with its path, and says what to do after a semicolon.

        Args:
            error: what was raised.
            place: where, for people who see all problems.
            fix: what to do, where that is not what the message says.
        """
        what, _, advice = error.message.removeprefix(f"{error.path}: ").partition("; ")
        return cls(place, what, fix or advice)

    def __str__(self) -> str:
        return f"{self.place}: {self.what}\n    fix: {self.fix}"


def numbered(message: str, problems: Sequence[Problem]) -> str:
    """A message, and all problems below it."""
    count = len(problems)
    head = f"{message} ({count} problem{'s' if count != 1 else ''})" if count else message
    return "\n".join([head, *(f"  {number}. {problem}" for number, problem in enumerate(problems, 1))])


class ProblemsError(AutodistSavedError):
    """Parent of errors that report all problems of one input at once, in :attr:`problems`."""

    def __init__(self, message: str, *, problems: Iterable[Problem] = (), path: str | None = None) -> None:
        super().__init__(message, path=path)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return numbered(self.message, self.problems)


class UsageError(AutodistSavedError):
    """The program calls something wrongly, or in the wrong order or place."""


MISTAKES = (UsageError, TypeError, KeyError, AssertionError)
"""What is raised where the program is wrong: to try again is no use."""


class SaverRequiredError(UsageError, ValueError):
    """``SavedModelBuilder`` was given no ``autodist_saved.Saver``."""


class SaverTooLateError(UsageError, RuntimeError):
    """A ``Saver`` was made after its graph was finalized, that is, after the session exists."""


class NoVariablesError(UsageError, ValueError):
    """There is nothing to save: the graph, or the given list, holds no variables."""


class ImageFormatError(UsageError, RuntimeError):
    """A model was to be written in chunks, for which TensorFlow lacks a part. Its own builder raises the same."""


class SignatureError(ProblemsError, UsageError, ValueError, TypeError):
    """Signatures, assets or ops that were handed to the builder do not fit the graph, or each other.

    TensorFlow's builder raises ``TypeError`` or ``ValueError``, as the case may be.
    """


class GraphError(ProblemsError, UsageError, ValueError):
    """The graph cannot be the model of one machine: no plain TensorFlow could load it, or run it."""


class BindingError(ProblemsError, UsageError, ValueError):
    """A meta graph restores variables that were not captured, or were captured with other shapes or types."""


class WrongTaskError(UsageError):
    """The call belongs to another kind of task, such as a session on a parameter server."""


class ConfigError(ProblemsError, ValueError):
    """Parent of errors in configuration; :attr:`problems` holds all of them."""


class ClusterConfigError(ConfigError):
    """A cluster description (YAML, ``TF_CONFIG`` or arguments) is wrong."""


class OptionsError(ConfigError):
    """Options are wrong."""


class LaunchError(ConfigError):
    """A job cannot be started as it was asked for."""


class TargetError(AutodistSavedError, OSError):
    """The place of the export cannot take it."""


class TargetExistsError(TargetError, FileExistsError, AssertionError):
    """The target already holds something. Nothing is ever overwritten.

    ``AssertionError`` is among the parents because TensorFlow's builder raises it in this case.
    """


class TargetUnwritableError(TargetError, PermissionError):
    """The target cannot be written: missing permission, read-only, no space, a file in the way."""


class LeaseLostError(TargetError):
    """Another process publishes to the same base directory; the message names it. Nothing was made visible."""


class PreflightError(ProblemsError, TargetError):
    """A base directory will not take the models of a job; :attr:`problems` holds all reasons."""


class RemovalError(ProblemsError, TargetError):
    """Versions that have expired could not be removed; :attr:`problems` holds all of them."""


class JobError(AutodistSavedError):
    """The distributed job is not in a state in which the call can work."""


class TaskUnreachableError(JobError, TimeoutError):
    """Tasks could not be reached within the time allowed; the message names each."""


class ChiefLostError(JobError, ConnectionError):
    """The chief has gone without ending the job."""


class JobFailedError(JobError):
    """The chief ended the job because it failed."""


class CutTimeoutError(JobError, TimeoutError):
    """Tasks did not stop between two steps, or staging did not end, within ``cut_timeout_secs``. All train on."""


class ExportError(AutodistSavedError):
    """The export was given up. Nothing of it is visible and nothing is left behind."""


class PlanError(ProblemsError, ExportError):
    """The variables cannot be exported as they are: gaps, overlaps, names used twice, unknown dtypes."""


class InconsistentError(ExportError):
    """Somebody may have changed variables while they were staged. Nothing of such an export becomes visible."""


class VerifyError(ProblemsError, ExportError):
    """What was written does not read back, or does not answer as the job does. It was not made visible."""


class RestoreError(ProblemsError, UsageError, ValueError):
    """A checkpoint does not fit the graph: variables are missing in it, or have other shapes or types.

    Nothing of the job was changed. What ``Saver.restore`` raises is TensorFlow's error for it, too:
    ``tf.errors.NotFoundError`` where variables are missing, else ``tf.errors.InvalidArgumentError``.

    Attributes:
        missing: names of the variables that are not in the checkpoint.
    """

    def __init__(
        self,
        message: str,
        *,
        problems: Iterable[Problem] = (),
        path: str | None = None,
        missing: Iterable[str] = (),
    ) -> None:
        super().__init__(message, problems=problems, path=path)
        self.missing = tuple(missing)


class BundleError(AutodistSavedError, ValueError):
    """A tensor bundle (``variables.index`` and its data files) is damaged, truncated or foreign."""


class ModelError(ProblemsError, ValueError):
    """Files of a SavedModel are missing or damaged."""


class OtherModelError(ModelError):
    """A SavedModel is whole, but not the model that it was compared with."""


class UnreadableError(AutodistSavedError, OSError):
    """A model or a checkpoint may be whole, but nobody could look: its store or disk cannot be reached, or read."""
