"""Escapes control characters before text is shown: names in files and foreign messages may contain commands that
a terminal would obey.
"""

from __future__ import annotations

_CONTROL = [*range(0x20), *range(0x7F, 0xA0)]
_SHOWN = {code: f"\\x{code:02x}" for code in _CONTROL if chr(code) not in "\n\t"}


def escape(text: str) -> str:
    r"""Replace each control character by its code, such as ``\x1b``. Line breaks, tabs and HTML stay as they are."""
    return text.translate(_SHOWN)
