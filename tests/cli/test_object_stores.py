"""The commands on URLs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from autodist_saved.cli.main import app
from autodist_saved.errors import ModelError, PreflightError, UnreadableError, UsageError
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.system.paths import store_of
from tests.support.object_store import models
from tests.support.saved_models import write_ours


@pytest.fixture
def base(bucket: Path, tmp_path: Path) -> Path:
    """Two versions that an export has written."""
    local = write_ours(tmp_path / "1")
    for number in (1, 2):
        store_of(bucket).put(f"{local}/", f"{bucket}base/{number}/", recursive=True)
    return bucket / "base"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_the_newest_version_is_shown(base: Path, tmp_path: Path) -> None:
    done = run("inspect", base, "--json")
    assert done.exit_code == 0, done.exception
    shown, local = json.loads(done.stdout), json.loads(run("inspect", tmp_path / "1", "--json").stdout)
    assert shown["path"] == f"{base}/2"
    assert shown["versions"] == ["1", "2"]
    assert {**shown, "path": "", "versions": []} == {**local, "path": "", "versions": []}


def test_a_model_is_verified_and_compared(base: Path, tmp_path: Path) -> None:
    assert run("verify", base / "1").stdout == f"{base}/1 is whole\n"
    assert run("verify", base / "1", "--against", tmp_path / "1").exit_code == 0
    assert run("verify", tmp_path / "1", "--against", base / "1").exit_code == 0
    assert run("diff", base / "1", tmp_path / "1").stdout == "no difference\n"


def test_there_is_a_page_about_a_model(base: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = run("report", base / "1", "-o", page)
    assert done.exit_code == 0, done.exception
    assert ">base / 1</h1>" in page.read_text()


def test_a_damaged_byte_is_found(base: Path) -> None:
    data = base / "1" / "variables" / "variables.data-00000-of-00001"
    contents = bytearray(data.read_bytes())
    contents[2] ^= 1
    data.write_bytes(bytes(contents))
    with pytest.raises(ModelError, match="the checksum of .* does not match its bytes"):
        CliRunner().invoke(app, ["verify", f"{base}/1"], catch_exceptions=False)


def test_old_versions_are_removed(base: Path) -> None:
    assert run("prune", base, "--keep", 1).stdout == f"{base}/1\n"
    assert {key.split("/")[0] for key in models(base)} == {"2"}


@pytest.mark.parametrize("command", ["inspect", "verify", "report", "prune"])
def test_where_there_is_no_model_it_is_said(bucket: Path, command: str) -> None:
    for place, said in (
        (f"{bucket}nothing", f"there is no {bucket}nothing; name the directory"),
        ("s3://there-is-none/model", "there is no bucket there-is-none; name the directory"),
        ("s3://there-is-none", "there is no bucket there-is-none; name the directory"),
    ):
        with pytest.raises(UsageError, match=said):
            CliRunner().invoke(app, [command, place], catch_exceptions=False)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "s3:// names no bucket; add one, as in s3://bucket/models"),
        ("s3:///model", "s3:///model names no bucket; add one, as in s3://bucket/models"),
        ("xx://a/b", "xx://a/b cannot be opened (Protocol not known: xx); correct the part before ://"),
    ],
)
def test_what_is_no_url_of_a_store_is_said(url: str, said: str) -> None:
    done = run("inspect", url)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)


def test_of_keys_that_are_refused_it_is_said_where_to_look(bucket: Path, allow: Callable[..., None]) -> None:
    allow("sts:*")
    said = "permission denied by the object store; check the credentials, and what they are allowed to do there"
    with pytest.raises(UnreadableError, match=f"{bucket}model: {said}"):
        CliRunner().invoke(app, ["inspect", f"{bucket}model"], catch_exceptions=False)
    with pytest.raises(PreflightError, match=said.partition(";")[0]) as caught:
        VersionedTarget(f"{bucket}model").preflight(1)
    assert str(caught.value).count(f"{bucket}model") == 2, "in the heading, and before what is wrong with it"
    assert "preflight" not in str(caught.value)
