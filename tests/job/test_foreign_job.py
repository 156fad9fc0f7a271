"""Sessions that are not ours: what is known of their jobs, and what cannot be."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.cut.cut import NoCut
from autodist_saved.job.foreign_job import ForeignJob
from autodist_saved.job.job_of import job_of
from autodist_saved.options import ExportOptions


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)


def test_a_session_of_ours_has_one_job_inside_and_outside(graph: tf.Graph) -> None:
    with ads.create_distributed_session(ads.Cluster.single()) as session:
        assert job_of(session) is job_of(session.raw_session()) is session.job
        assert session.job.has_gates


def test_a_plain_session_of_one_process_needs_no_cut(graph: tf.Graph) -> None:
    with v1.Session() as session:
        job = job_of(session)
        assert isinstance(job, ForeignJob)
        assert not job.has_gates
        assert job.workers_training() == ()
        assert isinstance(job.cut_for(ExportOptions()), NoCut)
        assert job.rendezvous is None
        assert not job.nobody_waits()
        with job.gate.step():
            assert job.gate.is_inside


def test_an_attribute_called_job_is_no_job(graph: tf.Graph) -> None:
    with v1.Session() as session:
        session.job = "my job"
        assert isinstance(job_of(session), ForeignJob)
