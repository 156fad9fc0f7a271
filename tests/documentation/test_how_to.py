"""What the guides show is run as it stands there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autodist_saved.system.paths import path_of, store_of
from tests.documentation.page import DOCS, blocks
from tests.documentation.page_runner import PageRunner
from tests.support.object_store import ENVIRONMENT

PAGES = sorted(page for page in DOCS.rglob("*.md") if page.name != "tutorial.md")
WITH_CODE = [page for page in PAGES if any(one.language in {"python", "sh"} for one in blocks(page))]
ELSEWHERE = {"one terminal", "another terminal", "a third terminal", "start", "export now", "export and end"}
"""Commands that go with a running job, or server: tests of their own run them."""
SHOWN = ("$ pip install ", "$ python3 -m venv ", "$ . ", "$ docker run ")
"""What is not run: it installs, or fetches from the network."""


@pytest.fixture(scope="module")
def runner(s3_endpoint: str) -> Iterator[PageRunner]:
    """Of pages, where there is an empty ``s3://bucket``."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_endpoint}.items():
            patch.setenv(name, value)
        store_of(path_of("s3://bucket")).mkdir("bucket")
        runner = PageRunner()
        yield runner
        runner.end()


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_page_runs(page: Path, runner: PageRunner, tmp_path: Path) -> None:
    runner.run(page, tmp_path)


def test_every_block_is_run_or_is_one_that_cannot_be() -> None:
    for page in [*PAGES, DOCS / "tutorial.md"]:
        for one in blocks(page):
            assert one.language in {"python", "sh", "yaml", "json", "console"}, f"{page.name}: {one.language}"
            assert one.language != "console" or all(line.startswith(SHOWN) for line in one.text.splitlines()), page
            assert one.is_file or not one.title or one.title in {*ELSEWHERE, "TF_CONFIG"}, f"{page.name}: {one.title}"
