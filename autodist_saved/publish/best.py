"""Which of several models is the best, by a number that their manifests hold."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodist_saved.errors import MISTAKES, ExportError, UsageError
from autodist_saved.report.report import Mode
from autodist_saved.system.error_translation import first_line

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BestBy:
    """A metric, and which of its values are better. What is not finite is never the best.

    Attributes:
        metric: its name in manifests.
        value: what it is now: a scalar tensor of the job's graph that needs nothing fed; or a function that is given
            the job's plain session and returns a number. None where only published models are compared.
        mode: whether the best is the greatest (``max``) or the least (``min``).
    """

    metric: str
    value: Any | Callable[[Any], float] | None = None
    mode: Mode = "max"

    def __post_init__(self) -> None:
        if self.mode not in ("max", "min"):
            raise UsageError(f"the mode of BestBy({self.metric!r}) is {self.mode!r}; give 'max' or 'min'")

    def measure(self, session: Any) -> float:
        """What the metric is now.

        Args:
            session: the job's plain session.

        Raises:
            UsageError: it is not one number, or its function is wrong: what it raises is no trouble that passes.
            ExportError: it cannot be measured now.
        """
        try:
            value = self.value(session) if callable(self.value) else session.run(self.value)
        except Exception as error:
            kind = UsageError if isinstance(error, MISTAKES) else ExportError
            said = f"{type(error).__name__}: {first_line(str(error))}"
            raise kind(f"the metric {self.metric!r} cannot be measured ({said}); look at its BestBy") from error
        if np.ndim(value) != 0:
            raise UsageError(
                f"the metric {self.metric!r} has the shape {np.shape(value)}; give BestBy a scalar, such as its mean"
            )
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise UsageError(f"the metric {self.metric!r} is {value!r}; give BestBy a number") from error

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another one; any finite one is better than None."""
        if not math.isfinite(value):
            return False
        return than is None or (value > than if self.mode == "max" else value < than)

    def best(self, values: Iterable[Mapping[str, float]]) -> float | None:
        """The best value among the metrics of several models; None where none of them has a finite one."""
        best: float | None = None
        for metrics in values:
            value = metrics.get(self.metric, math.nan)
            best = value if self.is_better(value, best) else best
        return best


class BestSoFar:
    """The best of the models that are published, and whether the next one is to join them."""

    def __init__(self, by: BestBy) -> None:
        """Knows of no model.

        Raises:
            UsageError: there is no ``value`` to measure.
        """
        if by.value is None:
            raise UsageError(f"BestBy({by.metric!r}) cannot be measured: give it a tensor or a function as its value")
        self.by = by
        self._best: float | None = None
        self._was_number: bool | None = None

    def begin(self, published: Iterable[Mapping[str, float]], stays: bool) -> None:
        """Begin with the metrics of the models that are there. ``stays``: whether the best of them is kept."""
        if not stays:
            log.warning(
                "the best version by %s may be removed, and a restarted job does not know of it then; give the "
                "target a Retention whose keep_best is the hook's best",
                self.by.metric,
            )
        self._best, self._was_number = self.by.best(published), None

    def measure(self, session: Any) -> dict[str, float]:
        """The metric of the next model; empty where it is not finite. Raises as :meth:`BestBy.measure`."""
        value = self.by.measure(session)
        self._was_number = self._was_number or math.isfinite(value)
        if math.isfinite(value):
            return {self.by.metric: value}
        log.warning("%s is %s, which is never the best", self.by.metric, value)
        return {}

    def is_beaten_by(self, metrics: Mapping[str, float]) -> bool:
        """Whether a model with these metrics is better than all that are published."""
        value = self.by.best([metrics])
        if value is None:
            return False  # which is told when it is measured
        if self.by.is_better(value, self._best):
            return True
        log.info("%s is %s, and %s is published: no export", self.by.metric, value, self._best)
        return False

    def add(self, metrics: Mapping[str, float]) -> None:
        """A model with these metrics is published now."""
        if (value := self.by.best([metrics])) is not None and self.by.is_better(value, self._best):
            self._best = value

    def end(self, path: str) -> None:
        """There are no more models of this training. ``path``: where they are; for messages."""
        if self._was_number is False:
            log.error(
                "no model that was due is in %s: the metric %r was never a finite number; look at its BestBy",
                path,
                self.by.metric,
            )
