"""Every error of this package, ordered by what its receiver can do about it.

========================  ====================================================
:class:`UsageError`       change the program: a call is wrong or in the wrong place
:class:`ConfigError`      change the configuration: a cluster file, ``TF_CONFIG``, options
:class:`TargetError`      change the place a model is written to
:class:`JobError`         look at the job: a task has ended, does not answer, or has failed
:class:`ExportError`      export again: nothing became visible
:class:`BundleError`      copy the files of the variables again: they are damaged, or are not a tensor bundle
:class:`ModelError`       copy the SavedModel again: files are missing, damaged, or belong to another model
:class:`UnreadableError`  check permissions, disk and network: the files could not be read, and may be whole
========================  ====================================================

Where a built-in exception describes the same mistake, it is a parent too, so that an ``except ValueError``
written for TensorFlow's own classes still works. All errors can be pickled, so they can travel between processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class AutodistSavedError(Exception):
    """Parent of all errors that this package raises.

    ``str(error)`` is the message, followed by those of the attributes below that the message does not contain.

    Attributes:
        message: what happened and what to do next.
        task: the task that the error is about, such as ``ps:1``; None if it concerns no single task.
        phase: the phase of the export, such as ``stream``; None outside an export.
        variable: full name of the variable that the error is about, or None.
        path: the file or directory that the error is about, or None.
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
    """One thing that is wrong with an input.

    Attributes:
        place: where it is, such as ``variable 'w'``, an option's name or a path.
        what: what is wrong.
        fix: what to do about it.
    """

    place: str
    what: str
    fix: str

    @classmethod
    def of(cls, error: AutodistSavedError, place: str, fix: str = "") -> Problem:
        """Turn an error into one problem of a list.

        In our messages the part after the first semicolon says what to do; it becomes the fix. A path at the
        beginning of the message is removed, because the place names it.

        Args:
            error: the error.
            place: where it happened.
            fix: what to do, if not what the message says.
        """
        what, _, advice = error.message.removeprefix(f"{error.path}: ").partition("; ")
        return cls(place, what, fix or advice)

    def __str__(self) -> str:
        return f"{self.place}: {self.what}\n    fix: {self.fix}"


def numbered(message: str, problems: Sequence[Problem]) -> str:
    """The message, with the number of problems, and the numbered problems below it."""
    count = len(problems)
    head = f"{message} ({count} problem{'s' if count != 1 else ''})" if count else message
    return "\n".join([head, *(f"  {number}. {problem}" for number, problem in enumerate(problems, 1))])


class ProblemsError(AutodistSavedError):
    """Parent of errors that report all problems of one input at once.

    Attributes:
        problems: the problems, each with its place and its fix.
    """

    def __init__(self, message: str, *, problems: Iterable[Problem] = (), path: str | None = None) -> None:
        super().__init__(message, path=path)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return numbered(self.message, self.problems)


class UsageError(AutodistSavedError):
    """The program makes a wrong call, or makes a call in the wrong order or in the wrong place."""


MISTAKES = (UsageError, TypeError, KeyError, AssertionError)
"""Exceptions that mean that the program is wrong, so that trying again cannot help."""


class SaverRequiredError(UsageError, ValueError):
    """``SavedModelBuilder`` needs an ``autodist_saved.Saver`` and got none."""


class SaverTooLateError(UsageError, RuntimeError):
    """A ``Saver`` was made after its graph was finalized. Make it before the session: it adds ops to the graph."""


class NoVariablesError(UsageError, ValueError):
    """There is nothing to save: the graph, or the ``var_list`` of the ``Saver``, contains no variables."""


class ImageFormatError(UsageError, RuntimeError):
    """The program asked for a model in chunks, and TensorFlow's distributions lack the code that writes them.

    TensorFlow's ``tf.compat.v1.saved_model.Builder.save(experimental_image_format=True)`` raises ``RuntimeError``
    for the same reason.
    """


class SignatureError(ProblemsError, UsageError, ValueError, TypeError):
    """Signatures, assets or ops given to the builder do not fit the graph, or do not fit each other.

    TensorFlow's ``tf.compat.v1.saved_model.Builder`` raises ``TypeError`` for some of these mistakes and
    ``ValueError`` for others, so both are parents.
    """


class GraphError(ProblemsError, UsageError, ValueError):
    """The graph cannot become a model for one machine: a plain TensorFlow could not load it, or could not run it."""


class BindingError(ProblemsError, UsageError, ValueError):
    """A meta graph restores variables that the export did not capture, or captured with other shapes or dtypes."""


class WrongTaskError(UsageError):
    """The task must not make this call: a parameter server, for example, must not open a session."""


class ConfigError(ProblemsError, ValueError):
    """Parent of errors in the configuration. :attr:`problems` lists all of them."""


class ClusterConfigError(ConfigError):
    """A cluster description (YAML, ``TF_CONFIG`` or arguments) is wrong."""


class OptionsError(ConfigError):
    """Options have wrong values, unknown names, or contradict each other."""


class LaunchError(ConfigError):
    """The launcher cannot start the job as requested."""


class TensorFlowMissingError(ConfigError, ImportError):
    """There is no TensorFlow in this Python, or one that this package was not made for."""


class TargetError(AutodistSavedError, OSError):
    """The export cannot be written to its target."""


class TargetExistsError(TargetError, FileExistsError, AssertionError):
    """The target already exists. An export never overwrites anything.

    ``AssertionError`` is a parent because ``tf.compat.v1.saved_model.Builder`` raises it in this case.
    """


class TargetUnwritableError(TargetError, PermissionError):
    """The target is not writable: no permission, a read-only file system, no space left, or a file in the way."""


class OwnershipLostError(TargetError):
    """Another process publishes to the same base directory; the message names it. The export is not visible."""


class PreflightError(ProblemsError, TargetError):
    """Publishing to a base directory would fail; :attr:`problems` lists all reasons."""


class RemovalError(ProblemsError, TargetError):
    """Expired versions could not be removed; :attr:`problems` lists all of them."""


class JobError(AutodistSavedError):
    """The call cannot work in the present state of the distributed job."""


class TaskUnreachableError(JobError, TimeoutError):
    """Tasks could not be reached within the time limit; the message names each of them."""


class ChiefLostError(JobError, ConnectionError):
    """The chief has disappeared without ending the job."""


class JobFailedError(JobError):
    """The chief ended the job because it failed."""


class CutTimeoutError(JobError, TimeoutError):
    """Tasks did not stop between two steps, or staging did not end, within ``cut_timeout_secs``.

    All tasks continue to train.
    """


class ExportError(AutodistSavedError):
    """The export failed. Nothing of it is visible and it leaves no files behind."""


class PlanError(ProblemsError, ExportError):
    """The variables cannot be exported as they are: gaps, overlaps, names used twice, unknown dtypes."""


class InconsistentError(ExportError):
    """A task may have changed variables while they were staged. The export does not become visible."""


class VerifyError(ProblemsError, ExportError):
    """The written model cannot be read back, or its answers differ from the job's. It did not become visible."""


class RestoreError(ProblemsError, UsageError, ValueError):
    """A checkpoint does not fit the graph: variables are missing in it, or have other shapes or dtypes.

    The variables of the job are unchanged. ``Saver.restore`` raises a subclass that is also TensorFlow's own error
    for the same mistake: ``tf.errors.NotFoundError`` if variables are missing, else
    ``tf.errors.InvalidArgumentError``.

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
    """A tensor bundle (``variables.index`` and its data files) is damaged or truncated, or is not a tensor bundle."""


class ModelError(ProblemsError, ValueError):
    """Files of a SavedModel are missing or damaged."""


class OtherModelError(ModelError):
    """A SavedModel is whole, but it is another model than the one it was compared with."""


class UnreadableError(AutodistSavedError, OSError):
    """A model or a checkpoint could not be read, because its store or disk cannot be reached. It may be whole."""
