"""Options of exports, schedules and sessions: frozen, validated when made, with all problems reported at once."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autodist_saved.errors import OptionsError, Problem

MIB = 2**20
Transport = Literal["auto", "stream", "shared"]
StagingWay = Literal["auto", "memory", "parked"]
OnError = Literal["warn", "retry", "fail"]


class Options(BaseModel):
    """Parent of the option classes. The constructor raises :class:`OptionsError`, which names every wrong field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise OptionsError(
                f"wrong {type(self).__name__}",
                problems=[
                    Problem(
                        ".".join(str(part) for part in found["loc"]) or type(self).__name__,
                        f"{found['msg']} (given: {found['input']!r})",
                        f"known options are {', '.join(sorted(type(self).model_fields))}"
                        if found["type"] == "extra_forbidden"
                        else "correct the value",
                    )
                    for found in error.errors()
                ],
            ) from None


class ExportOptions(Options):
    """How an export works.

    Attributes:
        memory_budget_bytes: the most bytes of variables that the chief holds at one time: in reads under way, and
            between reading and writing. Bytes that parameter servers transfer directly do not count.
        chunk_bytes: the most bytes of a variable that the chief reads from a task at once. A small budget lowers it.
        transport: how whole variables, and partitions of the first dimension, leave the parameter servers. The chief
            reads all other variables. ``stream``: parameter servers send them over the network to the chief, which
            writes them. ``shared``: each parameter server writes its own variables into the export directory, which
            it must see under the same path. ``auto``: ``shared`` for each parameter server that sees the directory,
            ``stream`` for the others.
        staging: what parameter servers do with their variables while the job is stopped. ``memory``: they copy the
            variables in their own memory; the job continues while the copies are transferred. ``parked``: they copy
            nothing; the job continues when all variables are transferred. ``auto``: ``memory`` if workers are
            training and the copies fit into the free memory of the parameter servers, else ``parked``.
        keep_staging_memory: parameter servers do not free the memory of their copies, so that the next export is
            faster.
        consistency: ``step`` stops all workers between two training steps while the variables are staged. The model
            is then one moment in time; if that is not possible, the export fails. ``none`` stops no worker: the
            model may contain values of several steps, and its witness says what is known about them.
        cut_timeout_secs: how long training may stand still for an export. If a worker has not finished its step by
            then, the export fails and training continues. With ``parked``, the time for streaming is added, without
            a limit. With ``verify="full"`` this is also how long the job may take for each answer; a signature that
            takes longer is not checked.
        when_busy: what to do during another export of the same saver, or another cut of the job: ``refuse`` raises
            an error, ``wait`` waits for its end, or until nothing of it has moved for ``cut_timeout_secs``. A
            checkpoint always waits.
        custom_ops: types of ops, such as ``SentencepieceTokenizeOp``, that a plain TensorFlow does not have. Name
            those that every loader of the model gets from a library. The export refuses all other unknown ops.
        verify: ``checksums`` reads back every file before the model becomes visible, and compares names, dtypes,
            shapes and checksums with the plan. ``none`` trusts the disk. ``full`` does as ``checksums``; it also
            loads the model in a fresh process on the chief's CPU, which needs as much memory as the variables, and
            calls every signature with the builder's ``examples``. The job answers the same examples while training
            is stopped, so the stop takes longer. The export fails if the answers differ by more than rounding
            explains, and if the target is in an object store.
        verify_timeout_secs: how long it may take to load and call the model, with ``verify="full"``. For the job's
            own answers ``cut_timeout_secs`` is the limit, because training stands still for them.
    """

    memory_budget_bytes: int = Field(default=256 * MIB, ge=1)
    chunk_bytes: int = Field(default=32 * MIB, ge=1)
    transport: Transport = "auto"
    staging: StagingWay = "auto"
    keep_staging_memory: bool = False
    consistency: Literal["step", "none"] = "step"
    cut_timeout_secs: float = Field(default=30.0, gt=0)
    when_busy: Literal["refuse", "wait"] = "refuse"
    custom_ops: frozenset[str] = frozenset()
    verify: Literal["full", "checksums", "none"] = "checksums"
    verify_timeout_secs: float = Field(default=600.0, gt=0)

    @model_validator(mode="after")
    def _check(self) -> ExportOptions:
        if self.verify == "full" and self.consistency == "none":
            raise ValueError(
                "verify='full' compares answers from one moment, and consistency='none' does not capture one"
            )
        if self.verify == "full" and self.custom_ops:
            raise ValueError("verify='full' loads the model with a plain TensorFlow, which has no custom_ops")
        return self


class ExportSchedule(Options):
    """When :class:`~autodist_saved.ChiefExportHook` exports, and what it does about failures.

    Attributes:
        every_steps: global steps between two exports.
        every_secs: seconds from the beginning of one export to the beginning of the next. A version is due even if
            there was no training step meanwhile.
        at_end: export the last state when training ends without an error, unless the last version already has that
            state. The export waits for workers that still train, at most ``SessionOptions.worker_timeout_secs``.
        on_error: what happens after a failed export. ``warn``: the hook logs the error, at the next step or at the
            end of the training. ``retry``: the hook first tries the export again, ``attempts`` times in all, and
            then logs the error. If the most recent export has failed when training ends, the training ends with
            its error. ``fail``: the training ends with the error of any export that fails. An export that fails
            because of a mistake in the program is not tried again.
        attempts: how often an export is tried in all, with ``on_error="retry"``.
        retry_secs: seconds before the second attempt. The time doubles with each further attempt, up to 60 s.
        last_export_secs: the most seconds for the last export, at the end or after SIGTERM, with all its attempts.
        signals: export on SIGUSR1; on SIGTERM export once more, then end the job.
    """

    every_steps: int | None = Field(default=None, ge=1)
    every_secs: float | None = Field(default=None, gt=0)
    at_end: bool = True
    on_error: OnError = "retry"
    attempts: int = Field(default=3, ge=1)
    retry_secs: float = Field(default=1.0, ge=0)
    last_export_secs: float = Field(default=300.0, gt=0)
    signals: bool = True

    @model_validator(mode="after")
    def _check(self) -> ExportSchedule:
        if self.every_steps is not None and self.every_secs is not None:
            raise ValueError("every_steps and every_secs exclude each other; give one of them")
        return self


class SessionOptions(Options):
    """How long a task waits for the other tasks of its job.

    Attributes:
        start_timeout_secs: how long a task waits at its start until it can reach the tasks that it needs.
        chief_timeout_secs: how long a task continues without a message from the chief. Then it assumes that the
            chief is lost.
        training_lease_secs: how long a worker begins training steps without a message from the chief. Then it waits
            at its next step until it hears the chief again, or gives up after ``chief_timeout_secs``. The chief
            exports without a worker that is lost only after this time. The value of the chief counts for all workers.
        worker_timeout_secs: how long the chief, when it ends, waits for workers that still train.
        sigterm_secs: how long a worker or parameter server continues after SIGTERM, if the chief neither ends the
            job before nor is lost. All tasks often get SIGTERM at the same time, and the chief needs the others for
            its last export. Choose a little less than the time before SIGKILL, which is 30 s in Kubernetes.
    """

    start_timeout_secs: float = Field(default=300.0, gt=0)
    chief_timeout_secs: float = Field(default=15.0, gt=0)
    training_lease_secs: float = Field(default=10.0, ge=1)
    worker_timeout_secs: float = Field(default=300.0, ge=0)
    sigterm_secs: float = Field(default=25.0, ge=0)
