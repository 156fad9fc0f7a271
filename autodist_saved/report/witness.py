"""The witness of an export: the record of the job's progress while its variables were staged.

It shows whether the model is one consistent moment of the training.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Witness:
    """The record of the job's progress during the staging of one export.

    Attributes:
        training: the tasks that trained during the staging; None if that is not known.
        epoch: number of the cut; 0 if no task had to be stopped.
        steps: by task, the number of training steps since its process began, counted while it stood still. For a task
            that has finished, the number of all its steps.
        deaths: number of workers that have failed, or have ended without a goodbye, since the chief's session began.
            A worker that is killed within a step leaves a part of that step in the variables. A cut cannot repair
            that; restoring a checkpoint can.
        shut_out: the tasks with a process that the parameter servers shut out during this cut, because the job had
            lost it and did not know whether it had ended. A step that it was in may be in the variables in part, too.
        global_step_before: the job's global step before staging; None if the graph has none.
        global_step_after: the same after staging.
    """

    training: tuple[str, ...] | None = ()
    epoch: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    deaths: int = 0
    shut_out: tuple[str, ...] = ()
    global_step_before: int | None = None
    global_step_after: int | None = None

    @property
    def consistent(self) -> bool:
        """Whether it is certain that no task trained during the staging, and the global step did not change."""
        return self.training == () and self.global_step_before == self.global_step_after

    def facts(self) -> list[tuple[str, str]]:
        """The most important facts for people, as pairs of name and text."""
        facts = [("one moment", "yes" if self.consistent else f"not known: {self.doubt}")]
        if self.global_step_before is not None:
            facts.append(("global step", str(self.global_step_before)))
        if self.steps:
            facts.append(("steps of tasks", ", ".join(f"{task} {steps}" for task, steps in self.steps.items())))
        if self.epoch:
            facts.append(("cut", str(self.epoch)))
        if self.deaths:
            facts.append(("workers that died", f"{self.deaths}: each may have left a part of a step behind"))
        if self.shut_out:
            facts.append(("shut out", f"{', '.join(self.shut_out)}: each may have left a part of a step behind"))
        return facts

    @property
    def doubt(self) -> str:
        """Which tasks may have trained during the staging, as text for people; empty if the export is consistent."""
        if self.consistent:
            return ""
        if self.training is None:
            who = "the session is not one of create_distributed_session(), so it is not known which tasks trained"
        elif self.training:
            who = f"{', '.join(self.training)} trained"
        else:
            who = "a task trained"
        return (
            f"{who} while the variables were staged, and the global step went from {self.global_step_before} to "
            f"{self.global_step_after}"
        )
