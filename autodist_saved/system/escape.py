"""Characters that terminals obey, made visible: names in files and messages of others may hold any."""

from __future__ import annotations

_CONTROL = [*range(0x20), *range(0x7F, 0xA0)]
_SHOWN = {code: f"\\x{code:02x}" for code in _CONTROL if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    r"""The text with its control characters as ``\x1b``; line breaks and tabs stay. Markup stays markup."""
    return text.translate(_SHOWN)
