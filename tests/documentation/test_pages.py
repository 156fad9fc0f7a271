"""What pages name is there: files, commands, messages; and every error has its cure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from autodist_saved import Cluster
from docs.generators import errors
from tests.documentation.page import ALL, DOCS, ROOT, block, blocks, prose

PLACES = [ROOT, ROOT / "autodist_saved"]
"""Where names of files on pages begin."""
THEIRS = (
    "models/",
    "variables/",
    "assets/",
    "assets.extra/",
    "checkpoints/",
    "by_hand/",
    "site/",
    "BASE/",
    "MODEL/",
    "N/",
)
"""How names begin of what users, or commands, make."""


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page)):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor and "<!-- generated: " not in target.read_text():  # it gets headings when the site is built
            assert anchor in {slug(heading) for heading in headings(target)}, link


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_and_room_that_is_named_exists(page: Path) -> None:
    for name in re.findall(r"`([\w.-]+/[\w./-]*)`", prose(page)):
        if not name.startswith(THEIRS):
            assert any((place / name).exists() for place in PLACES), name


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^ {4})make ([\w-]+)", page.read_text(), re.MULTILINE)) <= targets


def test_every_error_has_its_causes_and_cures() -> None:
    wanted = {f"`{kind.__name__}`" for kind in errors.CLASSES}
    assert {heading for heading in headings(DOCS / "how-to" / "errors.md") if heading.startswith("`")} == wanted


@pytest.mark.parametrize("page", ["errors.md", "secure.md"])
def test_messages_are_quoted_as_they_are(page: str) -> None:
    text = (DOCS / "how-to" / page).read_text()
    tables = re.findall(r"^\| message \|.*\n\|---.*\n((?:\|.*\n?)+)", text, re.MULTILINE)
    quoted = [message for table in tables for message in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)]
    assert quoted
    for message in quoted:
        for part in filter(None, (part.strip() for part in message.split("..."))):
            assert any(part in text for text in texts()), part


def test_cluster_files_on_pages_are_good(tmp_path: Path) -> None:
    seen = 0
    for page in DOCS.rglob("*.md"):
        for one in blocks(page):
            if one.language == "yaml" and "cluster" in yaml.safe_load(one.text):
                (tmp_path / "cluster.yaml").write_text(one.text)
                assert Cluster.from_yaml(tmp_path / "cluster.yaml").tasks
                seen += 1
    assert seen >= 4


def test_tf_config_on_the_page_is_good() -> None:
    text = block(DOCS / "how-to" / "run-a-cluster.md", "TF_CONFIG").text
    cluster = Cluster.from_tf_config({"TF_CONFIG": text})
    assert str(cluster.task) == "worker:0"
    assert cluster.control_address == "trainer-0.example.com:2230"


def test_every_page_is_in_the_navigation() -> None:
    settings = (ROOT / "mkdocs.yml").read_text()
    for page in DOCS.rglob("*.md"):
        assert str(page.relative_to(DOCS)) in settings


def headings(page: Path) -> Iterator[str]:
    """The headings of a page, without their marks."""
    return (heading.strip() for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE))


def slug(heading: str) -> str:
    """The anchor of a heading, as the site has it."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


@cache
def texts() -> frozenset[str]:
    """All literal texts of the package, those between braces of f-strings too."""
    return frozenset(
        node.value
        for path in (ROOT / "autodist_saved").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
