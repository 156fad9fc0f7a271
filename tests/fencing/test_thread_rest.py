"""Whether a process is at rest."""

from __future__ import annotations

import threading

from autodist_saved.fencing.thread_rest import is_at_rest
from tests.fencing.listening import wait_until


def test_a_process_rests_while_its_threads_sleep_and_no_sooner() -> None:
    sleeps, over = threading.Event(), threading.Event()

    def work() -> None:
        while not sleeps.is_set():
            sum(range(1000))
        over.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert not any(is_at_rest() for _ in range(20))
        sleeps.set()
        wait_until(is_at_rest)
    finally:
        sleeps.set()
        over.set()
        thread.join()
