"""The site as ``make docs`` builds it: strictly, without the network, with everything that is public."""

from __future__ import annotations

import html
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from pydantic import TypeAdapter

import autodist_saved as ads
from autodist_saved.cli.main import app
from autodist_saved.options import Options
from autodist_saved.publish.retention import Retention
from docs.generators import errors
from tests.documentation.page import ROOT, environment


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(place)],
        cwd=ROOT,
        env={**environment(), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?([^\"\s>]+)", text)
        loaded += re.findall(r"<link\b[^>]*\bhref=\"?([^\"\s>]+)", text)
        assert not [address for address in loaded if re.match(r"(?:https?:)?//", address)], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text()), style


def test_generators_and_their_marks_stay_behind(site: Path) -> None:
    assert not list(site.rglob("*.py"))
    assert not [page for page in site.rglob("*.html") if "<!-- generated" in page.read_text()]


@pytest.mark.parametrize("name", ads.__all__)
def test_every_public_name_is_described(site: Path, name: str) -> None:
    if name == "AutodistSavedError":
        name = f"errors.{name}"
    pages = [page.read_text() for page in (site / "reference").rglob("*.html")]
    assert sum(f'id="autodist_saved.{name}"' in page for page in pages) == 1


@pytest.mark.parametrize("kind", errors.CLASSES)
def test_every_error_is_described(site: Path, kind: type) -> None:
    page = (site / "reference" / "errors.html").read_text()
    assert f'id="autodist_saved.errors.{kind.__name__}"' in page
    assert re.split(r"[.:;`]", inspect.getdoc(kind) or "")[0].strip() in text_of(page)


def test_every_option_is_described(site: Path) -> None:
    described = rows((site / "reference" / "options.html").read_text())
    classes = [kind for kind in Options.__subclasses__() if kind.__name__ in ads.__all__]
    assert len(classes) == 4
    assert Retention in classes
    for options in classes:
        for name, field in options.model_fields.items():
            _, default, meaning = described[name]
            assert default == repr(field.default) or default == f"{field.default // 2**20} MiB", name
            assert meaning, name


def test_every_command_and_its_options_are_described(site: Path) -> None:
    text = text_of((site / "reference" / "command-line.html").read_text())
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f"autodist-saved {name}" in text
        for parameter in command.params:
            longest = max(parameter.opts, key=len)
            assert (longest if longest.startswith("-") else parameter.metavar) in text, f"{name} {longest}"


def test_every_key_of_the_manifest_is_described(site: Path) -> None:
    described = rows((site / "reference" / "manifest.html").read_text())
    schema = TypeAdapter(ads.ExportReport).json_schema(mode="serialization")
    for part in (schema, *schema["$defs"].values()):
        for key in part["properties"]:
            assert all(described[key]), key


def test_every_room_is_in_the_diagrams(site: Path) -> None:
    page = (site / "contributing" / "layers.html").read_text()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    for contract in contracts:
        for layer in contract.get("layers", []):
            for room in re.findall(r"\w+", layer):
                assert f"<b>{room}</b> " in page, room


def rows(page: str) -> dict[str, list[str]]:
    """The rows of all tables of a page: by the first cell the others."""
    table = [list(map(text_of, re.findall(r"<td>(.*?)</td>", row, re.DOTALL))) for row in page.split("<tr>")]
    return {first: others for first, *others in filter(None, table)}


def text_of(page: str) -> str:
    """The words of a page."""
    return html.unescape(re.sub(r"<[^>]+>", "", page)).strip()
