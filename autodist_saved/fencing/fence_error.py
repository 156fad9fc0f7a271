"""Why a parameter server cannot be fenced."""

from __future__ import annotations


class FenceError(Exception):
    """Somebody who was to be shut out may still write. The message is the reason, for the error of the cut."""
