"""How often an export is tried."""

from __future__ import annotations

import logging
import threading

import tenacity

from autodist_saved.errors import MISTAKES
from autodist_saved.options import ExportSchedule

log = logging.getLogger(__name__)


def attempts(schedule: ExportSchedule, ending: threading.Event) -> tenacity.Retrying:
    """Calls what it is given until that goes well, as often as the schedule says; mistakes of the program once.

    Args:
        schedule: of the exports.
        ending: once it is set, nobody waits between two attempts.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_go_well_next_time),
        stop=tenacity.stop_after_attempt(schedule.attempts if schedule.on_error == "retry" else 1),
        wait=tenacity.wait_exponential(multiplier=schedule.retry_secs, max=60),
        sleep=tenacity.sleep_using_event(ending),
        before_sleep=tenacity.before_sleep_log(log, logging.WARNING),
        reraise=True,
    )


def _may_go_well_next_time(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, MISTAKES)
