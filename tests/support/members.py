"""What the chief knows of its members, as soon as it does."""

from __future__ import annotations

from collections.abc import Callable

from autodist_saved.control.chief_service import ChiefService
from autodist_saved.control.membership import Member
from tests.support.patience import PATIENCE_SECS


def wait_for_members(server: ChiefService, holds: Callable[[tuple[Member, ...]], bool]) -> None:
    """Wait until something holds of the members."""
    with server._changed:
        assert server._changed.wait_for(lambda: holds(server.members()), PATIENCE_SECS)
