"""The witness of an export: what was seen of the job's progress while its variables were staged."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Witness:
    """What was seen of the job's progress around the staging of one export.

    Attributes:
        training: the tasks that went on training meanwhile; None where nobody can know.
        epoch: number of the cut; 0 where nobody had to be stopped.
        steps: how many training steps each task had done since its process began when it stood still, or in all where
            it has finished.
        deaths: how many workers have died since the chief's session began. One that is killed within a step leaves a
            part of that step in the variables, which no cut can mend; restoring a checkpoint does.
        global_step_before: the job's global step before staging; None where the graph has none.
        global_step_after: the same after staging.
    """

    training: tuple[str, ...] | None = ()
    epoch: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    deaths: int = 0
    global_step_before: int | None = None
    global_step_after: int | None = None

    @property
    def consistent(self) -> bool:
        """Whether it is known that nobody trained on, and the global step stood still."""
        return self.training == () and self.global_step_before == self.global_step_after

    def facts(self) -> list[tuple[str, str]]:
        """What people ask first, each with its name."""
        facts = [("one moment", "yes" if self.consistent else f"not known: {self.doubt}")]
        if self.global_step_before is not None:
            facts.append(("global step", str(self.global_step_before)))
        if self.steps:
            facts.append(("steps of tasks", ", ".join(f"{task} {steps}" for task, steps in self.steps.items())))
        if self.epoch:
            facts.append(("cut", str(self.epoch)))
        if self.deaths:
            facts.append(("workers that died", f"{self.deaths}: each may have left a part of a step"))
        return facts

    @property
    def doubt(self) -> str:
        """In words, who may have trained on; empty if it is consistent."""
        if self.consistent:
            return ""
        if self.training is None:
            who = "the session is not one of create_distributed_session(), so nobody knows who trained on"
        elif self.training:
            who = f"{', '.join(self.training)} trained on"
        else:
            who = "somebody trained on"
        return (
            f"{who} while the variables were staged, and the global step went from {self.global_step_before} to "
            f"{self.global_step_after}"
        )
