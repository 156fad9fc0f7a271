"""What the environment says of the control service, where ``TF_CONFIG`` is written by others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster, ControlFiles
from autodist_saved.errors import ClusterConfigError

PREFIX = "AUTODIST_SAVED_CONTROL_"
# As Kubeflow's TFJob writes it.
TF_CONFIG = {
    "cluster": {
        "chief": ["job-chief-0.ns.svc:2222"],
        "ps": ["job-ps-0.ns.svc:2222"],
        "worker": ["job-worker-0.ns.svc:2222"],
    },
    "task": {"type": "worker", "index": 0},
    "environment": "cloud",
}


def cluster(control: object = None, **variables: str) -> Cluster:
    config = TF_CONFIG if control is None else {**TF_CONFIG, "control": control}
    environ = {PREFIX + name: value for name, value in variables.items()}
    return Cluster.from_tf_config({"TF_CONFIG": json.dumps(config), **environ})


def test_variables_do_what_control_in_tf_config_does() -> None:
    files = {"token_file": "/s/token", "certificate": "/s/tls.crt", "key": "/s/tls.key", "authority": "/s/ca.crt"}
    address = "job-chief-0.ns.svc:2230"
    found = cluster(ADDRESS=address, **{key.upper(): path for key, path in files.items()})
    assert found == cluster({"address": address, **files})
    assert found.control_address == address
    assert found.control_files == ControlFiles(**files)


@pytest.mark.parametrize(
    ("control", "variables", "address", "files"),
    [
        (None, {"TOKEN_FILE": "token"}, "job-chief-0.ns.svc:2223", ControlFiles(str(Path.cwd() / "token"))),
        ("job-chief-0.ns.svc:1", {"TOKEN_FILE": "/t"}, "job-chief-0.ns.svc:1", ControlFiles("/t")),
        ("job-chief-0.ns.svc:1", {"ADDRESS": "job-chief-0.ns.svc:2"}, "job-chief-0.ns.svc:1", ControlFiles()),
        ({"token_file": "/ours"}, {"TOKEN_FILE": "/theirs"}, "job-chief-0.ns.svc:2223", ControlFiles("/ours")),
        ({"token_file": None}, {"TOKEN_FILE": "/t"}, "job-chief-0.ns.svc:2223", ControlFiles("/t")),
        (None, {"ADDRESS": "", "TOKEN_FILE": ""}, "job-chief-0.ns.svc:2223", ControlFiles()),
    ],
    ids=["a file alone", "both say different things", "address twice", "file twice", "null", "empty"],
)
def test_what_tf_config_says_comes_first(
    control: object, variables: dict[str, str], address: str, files: ControlFiles
) -> None:
    found = cluster(control, **variables)
    assert (found.control_address, found.control_files) == (address, files)


@pytest.mark.parametrize(
    ("control", "variables", "place", "what"),
    [
        (None, {"ADDRESS": "nowhere"}, "ADDRESS", "'nowhere' has no port"),
        (None, {"ADDRESS": "elsewhere:2230"}, "ADDRESS", "elsewhere is not the chief's host"),
        (None, {"KEY": "/s/tls.key"}, "KEY", "there is no control.certificate to go with it"),
        (None, {"TOKEN_FIEL": "/t"}, "TOKEN_FIEL", "there is no such variable"),
        (None, {"X": "/t"}, "X", "there is no such variable"),
    ],
)
def test_what_is_wrong_is_told_by_the_name_of_the_variable(
    control: object, variables: dict[str, str], place: str, what: str
) -> None:
    with pytest.raises(ClusterConfigError) as caught:
        cluster(control, **variables)
    (problem,) = caught.value.problems
    assert problem.place == PREFIX + place
    assert problem.what.startswith(what)
    if place == "TOKEN_FIEL":
        assert problem.fix == f"did you mean {PREFIX}TOKEN_FILE?"


def test_what_is_wrong_in_tf_config_is_told_as_ever() -> None:
    with pytest.raises(ClusterConfigError) as caught:
        cluster({"address": "nowhere", "token_file": 3}, KEY="/k", CERTIFICATE="/c")
    assert {problem.place for problem in caught.value.problems} == {"control.address", "control.token_file"}
    with pytest.raises(ClusterConfigError, match="control: "):
        cluster(["a list"], KEY="/k")


def test_a_process_of_its_own_has_no_control_service_whatever_is_set() -> None:
    assert Cluster.from_tf_config({PREFIX + "ADDRESS": "a:1"}).is_single
