"""Escapes characters that a terminal or a browser obeys instead of showing them: names in files and foreign messages
may contain them.
"""

from __future__ import annotations

import unicodedata

_OBEYED = {"Cc", "Cf", "Zl", "Zp"}  # control, format (such as the direction of text), line and paragraph separators


class _Shown(dict[int, int | str]):
    """What is shown for each character, by its code. Asked for each character once."""

    def __missing__(self, code: int) -> int | str:
        char = chr(code)
        shown: int | str = code
        if unicodedata.category(char) in _OBEYED and char not in "\n\t":
            shown = f"\\x{code:02x}" if code < 0x100 else char.encode("unicode_escape").decode()
        self[code] = shown
        return shown


_SHOWN = _Shown()


def escape(text: str) -> str:
    r"""Replace each character that is obeyed by its code, such as ``\x1b`` or ``\u202e``.

    Line breaks, tabs and HTML stay as they are.
    """
    return text.translate(_SHOWN)
