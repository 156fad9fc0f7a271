"""What is shown in place of characters that are obeyed."""

from __future__ import annotations

import unicodedata

import pytest
from markupsafe import Markup

from autodist_saved.system.escape import escape

DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", "a\nb\tc"),
        ("\x1b[31m\r\x7f\x9b", "\\x1b[31m\\x0d\\x7f\\x9b"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("a\ufeffb\xadc\U000e0041d", "a\\ufeffb\\xadc\\U000e0041d"),
        ("é ½ 日本 עברית 🎉\xa0<b>", "é ½ 日本 עברית 🎉\xa0<b>"),
        ("\udcff", "\udcff"),
    ],
)
def test_it_is_their_code(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_no_character_that_changes_the_direction_of_text_is_left() -> None:
    assert all(unicodedata.category(char) == "Cf" for char in DIRECTIONS)
    assert not set(escape(DIRECTIONS)) & set(DIRECTIONS)


def test_markup_stays_markup() -> None:
    assert isinstance(escape(Markup("<b>\u202e</b>")), Markup)
