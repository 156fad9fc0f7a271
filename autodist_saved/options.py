"""Options of exports, their schedule and sessions: frozen, validated when made, all problems reported at once."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autodist_saved.errors import OptionsError, Problem

MIB = 2**20
Transport = Literal["auto", "stream", "shared"]
StagingWay = Literal["auto", "memory", "parked"]
OnError = Literal["warn", "retry", "fail"]


class Options(BaseModel):
    """Parent of the option classes. Raises :class:`OptionsError`, naming every wrong field."""

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
        memory_budget_bytes: how much of the variables the chief holds at the most, in reads under way and between
            reading and writing. What parameter servers carry themselves, it does not hold.
        chunk_bytes: how much of a variable the chief reads from a task in one go; less where the budget is small.
        transport: how whole variables, and partitions of the first dimension, leave the parameter servers; the chief
            reads all others. ``stream``: over the network, to the chief, who writes them. ``shared``: each parameter
            server writes its own into the export directory, which it has to see under the same path. ``auto``: shared
            where a parameter server sees that directory, else streamed.
        staging: what parameter servers do with their variables while the job is stopped. ``memory``: copy them in
            their own memory, and the job goes on while the copies are brought away. ``parked``: copy nothing; the job
            goes on when all is brought away. ``auto``: memory where workers are training and the copies fit into what
            a parameter server has free, else parked.
        keep_staging_memory: parameter servers keep the memory of their copies for the next export, which is faster,
            instead of freeing it.
        consistency: ``step`` stops all workers between two training steps while the variables are staged, so that
            the model is one moment in time, and gives up where that cannot be had. ``none`` stops nobody: the model
            may hold values of several steps; its witness says what is known.
        cut_timeout_secs: how long training may stand still for an export; a worker that has not come to the end of
            its step by then fails the export, not the training. Where nothing is copied (``parked``), streaming comes
            on top, without a limit. With ``verify="full"`` also how long the job may take for each answer: a
            signature that takes longer is not checked.
        when_busy: what to do while another export of the same saver, or another cut of the job, is under way:
            ``refuse`` or ``wait``. A checkpoint always waits.
        custom_ops: types of ops, such as ``SentencepieceTokenizeOp``, that a plain TensorFlow does not have, and
            that all who load the model have because they load a library first. Any others are refused.
        verify: ``checksums`` reads back every file before it is made visible and compares names, dtypes, shapes
            and checksums with the plan; ``none`` trusts the disk. ``full`` also loads the model in a fresh process
            on the chief's CPU, where it needs as much memory as the variables, and calls every signature with the
            builder's ``examples``. The job answers the same while training is stopped, which lasts longer by that.
            Answers that differ by more than arithmetic explains are refused, and so are targets in object stores.
        verify_timeout_secs: how long loading and calling the model may take, with ``verify="full"``. The job's own
            answers have ``cut_timeout_secs``, because training stands still for them.
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
            raise ValueError("verify='full' compares answers of one moment, and consistency='none' captures none")
        if self.verify == "full" and self.custom_ops:
            raise ValueError("verify='full' loads the model with a plain TensorFlow, which has no custom_ops")
        return self


class ExportSchedule(Options):
    """When :class:`~autodist_saved.ChiefExportHook` exports, and what it does about failures.

    Attributes:
        every_steps: global steps between two exports.
        every_secs: seconds from the beginning of one export to that of the next, whether there are steps meanwhile or
            not.
        at_end: export the last state when the training ends well, unless the last version is that. Workers that still
            train are waited for, as long as ``SessionOptions.worker_timeout_secs``.
        on_error: what a failed export does. ``warn``: it is told in the log, at the next step and at the end.
            ``retry``: it is tried again, ``attempts`` times in all, and told then; where the last export has failed,
            the training ends with its error. ``fail``: any ends the training. What is wrong with the program is not
            tried again.
        attempts: for ``retry``.
        retry_secs: seconds before the second attempt; the time doubles with each.
        last_export_secs: how long the last export may take, at the end or after SIGTERM, with all its attempts.
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
    """How a task waits for the other tasks of its job.

    Attributes:
        start_timeout_secs: how long a task waits at the start until the tasks that it needs can be reached.
        chief_timeout_secs: how long a task goes on without a word from the chief before it gives the chief up.
        worker_timeout_secs: how long the chief, when it ends, waits for workers that are still training.
        sigterm_secs: how long a worker or parameter server goes on after SIGTERM, unless the chief has ended the job
            before, or is gone: as long as the chief may need for its last export, where all are told at once. It
            should be somewhat shorter than what comes before SIGKILL, such as Kubernetes' 30 s.
    """

    start_timeout_secs: float = Field(default=300.0, gt=0)
    chief_timeout_secs: float = Field(default=15.0, gt=0)
    worker_timeout_secs: float = Field(default=300.0, ge=0)
    sigterm_secs: float = Field(default=25.0, ge=0)
