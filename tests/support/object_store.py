"""An S3 of our own, for tests: moto's server, and a way to it that can be cut."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from autodist_saved.system.paths import path_of, store_of

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",
}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Where an S3 listens, for all tests and the processes that they start."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty bucket, which this process and those that it starts can use."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_endpoint}.items():
        monkeypatch.setenv(name, value)
    place = path_of(f"s3://bucket-{uuid.uuid4().hex}")
    store_of(place).mkdir(str(place))
    return place


@pytest.fixture
def no_s3(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody listens where the bucket was, for this process and those that it starts."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    type(store_of(bucket)).clear_instance_cache()  # what has read the environment before
    yield
    type(store_of(bucket)).clear_instance_cache()


@pytest.fixture
def allow(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Lets this process, and those that it starts, do nothing any more but what is named, such as ``s3:Get*``; and
    not read what is ``hidden``, such as ``arn:aws:s3:::bucket/*``.
    """
    import boto3
    from moto import settings

    def allowed(*actions: str, hidden: str = "") -> None:
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", math.inf)
        people, name = boto3.client("iam"), uuid.uuid4().hex
        people.create_user(UserName=name)
        grants = [{"Effect": "Allow", "Action": actions, "Resource": "*"}]
        grants += [{"Effect": "Deny", "Action": ["s3:Get*"], "Resource": hidden}] if hidden else []
        policy = json.dumps({"Version": "2012-10-17", "Statement": grants})
        people.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)
        key = people.create_access_key(UserName=name)["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        type(store_of(bucket)).clear_instance_cache()
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)

    yield allowed
    type(store_of(bucket)).clear_instance_cache()


def keys(place: Path) -> list[str]:
    """Every object below a place, by its path from there."""
    found = store_of(place).find(str(place))
    prefix = str(place).rstrip("/").partition("://")[2].lstrip("/")
    return sorted(key.lstrip("/").removeprefix(f"{prefix}/") for key in found)


def models(place: Path) -> list[str]:
    """The same without what begins with a dot: what servers look at."""
    return [key for key in keys(place) if not key.startswith(".")]


def uploads(place: Path) -> list[str]:
    """Keys of uploads to the place's bucket that are not complete."""
    bucket = str(place).partition("://")[2].partition("/")[0]
    return sorted(upload["Key"] for upload in store_of(place).list_multipart_uploads(bucket))


def download(place: Path, to: Path) -> Path:
    """A copy on the disk."""
    shutil.rmtree(to, ignore_errors=True)
    for key in keys(place):
        file = to / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((place / key).read_bytes())
    return to


@contextmanager
def cut_after(nbytes: int, endpoint: str) -> Iterator[str]:
    """A way to ``endpoint`` that hangs up for good once so many bytes have gone there. Yields its own address."""
    host, port = endpoint.removeprefix("http://").split(":")
    left, lock, sockets = [nbytes], threading.Lock(), []
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        for one in [listener, *sockets]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def pump(source: socket.socket, sink: socket.socket, *, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                with lock:
                    left[0] -= len(data) if counted else 0
                    is_over = left[0] < 0
                if is_over:
                    hang_up()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                here, _ = listener.accept()
                there = socket.create_connection((host, int(port)))
                sockets.extend((here, there))
                for ends, counted in (((here, there), True), ((there, here), False)):
                    threads.append(threading.Thread(target=pump, args=ends, kwargs={"counted": counted}))
                    threads[-1].start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    yield "http://{}:{}".format(*listener.getsockname())
    hang_up()
    for thread in threads:
        thread.join()


def through(endpoint: str, place: Path) -> Any:
    """The same place, reached another way."""
    from upath import UPath

    return UPath(str(place), endpoint_url=endpoint)


def environment() -> dict[str, str]:
    """For processes that a test starts."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "2"}
