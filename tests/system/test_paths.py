"""What paths and URLs mean."""

from __future__ import annotations

import pytest

import autodist_saved as ads
from autodist_saved.errors import UsageError
from autodist_saved.system.paths import path_of
from tests.support.command_line import run

SECRETS = ["ftp://user:hunter2@host/base", "s3://AKIA:hun/ter2@bucket/base", "memory://:hunter2@host/base"]


@pytest.mark.parametrize("url", SECRETS)
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="leave them out of the URL") as caught:
        ads.VersionedTarget(url)
    assert "ter2" not in str(caught.value)
    done = run("inspect", url)
    assert done.status == 2
    assert "leave them out of the URL" in done.stderr
    assert "ter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url", ["memory://host:80/base@2", "memory://container@account/base", "memory://bucket/a:b@c"]
)
def test_other_urls_with_these_characters_are_taken(url: str) -> None:
    path_of(url)
