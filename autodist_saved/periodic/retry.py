"""How often an export is tried, and when again."""

from __future__ import annotations

import logging
import threading

import tenacity

from autodist_saved.errors import MISTAKES, ExportError
from autodist_saved.options import ExportSchedule

log = logging.getLogger(__name__)


def retrying(schedule: ExportSchedule, path: str, given_up: threading.Event) -> tenacity.Retrying:
    """Calls a function until it succeeds, at most as often as the schedule says. Mistakes of the program are final.

    Args:
        schedule: of the exports.
        path: of their target, for messages.
        given_up: once it is set, there are no further attempts.
    """

    def tell(state: tenacity.RetryCallState) -> None:
        error, secs = state.outcome and state.outcome.exception(), state.upcoming_sleep
        log.warning("an export to %s failed; the next attempt is in %g s: %s", path, secs, error)

    def rest(secs: float) -> None:
        if given_up.wait(secs):
            raise ExportError("an export failed, and the training ended before the next attempt", path=path)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_go_well_next_time),
        stop=tenacity.stop_after_attempt(schedule.attempts if schedule.on_error == "retry" else 1),
        wait=tenacity.wait_exponential(multiplier=schedule.retry_secs, max=60),
        sleep=rest,
        before_sleep=tell,
        reraise=True,
    )


def _may_go_well_next_time(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, MISTAKES)
