"""What every cut does, and what every cut does that stops the writers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from autodist_saved.cut.cut import Cut
from autodist_saved.errors import AutodistSavedError, CutTimeoutError, ExportError
from autodist_saved.testing.conformance.check import check

# For what must not happen: a writer that does not stand still makes its step in far less.
_CHANCE_SECS = 0.2


class CutConformance:
    """What every :class:`Cut` does. Subclass it and fill in :meth:`make` and :meth:`step`.

    A cut that stops the writers does all that :class:`StoppingCutConformance` says, too.
    """

    def make(self, timeout_secs: float = 60.0) -> Cut:
        """A new cut of one and the same job. Where it lasts no longer than a time limit, ``timeout_secs`` is that."""
        raise NotImplementedError

    def step(self, work: Callable[[], object]) -> None:
        """One training step of a writer, in the calling thread, with ``work`` in its midst."""
        raise NotImplementedError

    def test_it_is_on_once_and_writers_go_on(self) -> None:
        for _ in range(2):
            cut = self.make()
            cut.acquire()
            cut.release()
            self._take_a_step()

    def test_it_can_be_extended(self) -> None:
        cut = self.make()
        cut.acquire()
        cut.extend()
        cut.release()
        self._take_a_step()

    def test_a_second_release_does_no_harm(self) -> None:
        cut = self.make()
        cut.acquire()
        cut.release()
        _released(cut)
        self._take_a_step()
        other = self.make()
        other.acquire()
        _released(cut)
        other.release()
        self._take_a_step()

    def test_one_that_was_never_on_can_be_released(self) -> None:
        on = self.make()
        on.acquire()
        _released(self.make())
        on.release()
        self._take_a_step()

    def _take_a_step(self) -> None:
        """In a thread of its own, so that a step that never ends leaves the test to its time limit, not to itself."""
        taken = threading.Event()
        threading.Thread(target=self.step, args=(taken.set,), daemon=True).start()
        taken.wait()


class StoppingCutConformance(CutConformance):
    """What a :class:`Cut` does that stops the writers. :meth:`step` blocks at its beginning while one is on."""

    def test_no_step_begins_while_it_is_on(self) -> None:
        cut = self.make()
        cut.acquire()
        order, writer = self._begin_a_step()
        writer.join(_CHANCE_SECS)
        order.append("release")
        check(cut.release().training == (), "nobody has trained")
        writer.join()
        check(order == ["release", "step"], "a step that comes while the cut is on begins after it")

    def test_steps_under_way_end_first(self) -> None:
        cut = self.make()
        order: list[str] = []
        under_way, end = threading.Event(), threading.Event()

        def work() -> None:
            under_way.set()
            end.wait()
            order.append("step")

        writer = threading.Thread(target=self.step, args=(work,), daemon=True)
        writer.start()
        under_way.wait()
        ending = threading.Timer(_CHANCE_SECS, end.set)
        ending.start()
        cut.acquire()
        order.append("acquire")
        writer.join()
        ending.join()
        cut.release()
        check(order == ["step", "acquire"], "the cut is on only when the step is over")

    def test_who_does_not_stop_in_time_is_named_and_all_go_on(self) -> None:
        under_way, end = threading.Event(), threading.Event()

        def work() -> None:
            under_way.set()
            end.wait()

        writer = threading.Thread(target=self.step, args=(work,), daemon=True)
        writer.start()
        under_way.wait()
        cut = self.make(_CHANCE_SECS)
        try:
            cut.acquire()
        except CutTimeoutError as error:
            check(bool(error.task), "the error names the task")
        else:
            raise AssertionError("not so: a cut with a step under way is never on")
        self._take_a_step()
        end.set()
        writer.join()
        _released(cut)
        after = self.make()
        after.acquire()
        after.release()

    def test_it_ends_by_itself_when_its_time_is_over(self) -> None:
        cut = self.make(_CHANCE_SECS)
        cut.acquire()
        self._take_a_step()
        try:
            cut.release()
        except CutTimeoutError:
            pass
        else:
            raise AssertionError("not so: writers were let go before, and the release says it")

    def test_an_extended_one_lasts_until_its_release(self) -> None:
        cut = self.make(_CHANCE_SECS)
        cut.acquire()
        cut.extend()
        order, writer = self._begin_a_step()
        writer.join(5 * _CHANCE_SECS)
        order.append("release")
        cut.release()
        writer.join()
        check(order == ["release", "step"], "nobody is let go before")

    def test_there_is_one_at_a_time(self) -> None:
        first, second = self.make(), self.make()
        first.acquire()
        try:
            second.acquire()
        except ExportError:
            _released(second)
        else:
            raise AssertionError("not so: a cut that does not wait for another one is refused")
        order, writer = self._begin_a_step()
        writer.join(_CHANCE_SECS)
        order.append("release")
        first.release()
        writer.join()
        check(order == ["release", "step"], "the one that is on stays so")

    def test_no_two_have_the_same_number(self) -> None:
        numbers = set()
        for _ in range(3):
            cut = self.make()
            cut.acquire()
            numbers.add(cut.release().epoch)
        check(len(numbers) == 3, "each cut has a number of its own")

    def _begin_a_step(self) -> tuple[list[str], threading.Thread]:
        order: list[str] = []
        writer = threading.Thread(target=self.step, args=(lambda: order.append("step"),), daemon=True)
        writer.start()
        return order, writer


def _released(cut: Cut) -> None:
    """Release a cut that has no answer to give: it may say so, in an error of this package."""
    with contextlib.suppress(AutodistSavedError):
        cut.release()
