"""Finds out which of several models is the best, by a metric that their manifests contain."""

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
    """A metric, and which of its values are better. A value that is not finite is never the best.

    Attributes:
        metric: name of the metric in manifests.
        value: how to measure the metric: a scalar tensor of the job's graph that needs no feeds; or a function that
            takes the job's plain ``tf.compat.v1.Session`` and returns a number. None if only published models are
            compared.
        mode: ``max`` if the greatest value is the best, ``min`` if the least one is.

    Raises:
        UsageError: ``mode`` is neither ``max`` nor ``min``.
    """

    metric: str
    value: Any | Callable[[Any], float] | None = None
    mode: Mode = "max"

    def __post_init__(self) -> None:
        if self.mode not in ("max", "min"):
            raise UsageError(f"the mode of BestBy({self.metric!r}) is {self.mode!r}; use 'max' or 'min'")

    def measure(self, session: Any) -> float:
        """Measure the metric. The chief calls it before an export, outside the cut.

        Args:
            session: the job's plain session.

        Raises:
            UsageError: the value is not a single number, or the function contains a mistake, so that trying again
                cannot help.
            ExportError: the metric cannot be measured now.
        """
        try:
            value = self.value(session) if callable(self.value) else session.run(self.value)
        except Exception as error:
            kind = UsageError if isinstance(error, MISTAKES) else ExportError
            said = f"{type(error).__name__}: {first_line(str(error))}"
            raise kind(f"the metric {self.metric!r} cannot be measured ({said}); look at its BestBy") from error
        if np.ndim(value) != 0:
            raise UsageError(
                f"the metric {self.metric!r} has the shape {np.shape(value)}; pass BestBy a scalar, such as its mean"
            )
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise UsageError(f"the metric {self.metric!r} is {value!r}; pass BestBy a number") from error

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another one. Any finite value is better than None."""
        if not math.isfinite(value):
            return False
        return than is None or (value > than if self.mode == "max" else value < than)

    def best(self, values: Iterable[Mapping[str, float]]) -> float | None:
        """The best value of the metric among several models; None if no model has a finite value."""
        best: float | None = None
        for metrics in values:
            value = metrics.get(self.metric, math.nan)
            best = value if self.is_better(value, best) else best
        return best


class BestSoFar:
    """Remembers the best of the published models, and decides whether the next model is to be published."""

    def __init__(self, by: BestBy) -> None:
        """Knows no model yet.

        Raises:
            UsageError: ``by`` has no ``value`` to measure.
        """
        if by.value is None:
            raise UsageError(f"BestBy({by.metric!r}) cannot be measured; pass a tensor or a function as its value")
        self.by = by
        self._best: float | None = None
        self._was_number: bool | None = None

    def begin(self, published: Iterable[Mapping[str, float]], stays: bool) -> None:
        """Begin with the models that are published already.

        Args:
            published: their metrics.
            stays: whether the retention keeps the best of them.
        """
        if not stays:
            log.warning(
                "the best version by %s may be removed, and a restarted job would not know it; give the target a "
                "Retention whose keep_best is the hook's best",
                self.by.metric,
            )
        self._best, self._was_number = self.by.best(published), None

    def measure(self, session: Any) -> dict[str, float]:
        """The metric of the next model; empty if it is not finite. Raises as :meth:`BestBy.measure` does."""
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
            return False  # measure() has logged it
        if self.by.is_better(value, self._best):
            return True
        log.info(
            "no export: %s is %s, and a published model has %s, which is not worse", self.by.metric, value, self._best
        )
        return False

    def add(self, metrics: Mapping[str, float]) -> None:
        """Note that a model with these metrics was published."""
        if (value := self.by.best([metrics])) is not None and self.by.is_better(value, self._best):
            self._best = value

    def end(self, path: str) -> None:
        """The training has ended. Logs an error if no model could be published because of the metric.

        Args:
            path: where the models are published.
        """
        if self._was_number is False:
            log.error(
                "no model was published to %s, because the metric %r was never a finite number; look at its BestBy",
                path,
                self.by.metric,
            )
