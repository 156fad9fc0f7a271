"""What every task of ``gather`` runs: parameter servers hold the model, the chief saves it some times over."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from pathlib import Path

import tensorflow.compat.v1 as v1

import autodist_saved as ads
from benchmarks.memory import MIB, PeakGrowth
from benchmarks.task import take_part

COLUMNS = 256


def main(result: Path, method: str, mib: int, variables: int, rounds: int, directory: Path) -> None:
    cluster = take_part()
    if cluster is None:
        return
    with v1.Graph().as_default(), cluster.device_scope():
        build(mib, variables, len(cluster.addresses["ps"]))
        if method.startswith("stock"):
            saver = v1.train.Saver(sharded=method == "stock_sharded")
        else:
            saver = ads.Saver(options=ads.ExportOptions(transport=method))
        scaffold = v1.train.Scaffold(saver=saver)
        with ads.create_distributed_session(cluster, scaffold=scaffold) as sess:
            seconds, growth = [], []
            for _ in range(rounds):
                place = directory / method
                memory, began = PeakGrowth(), time.perf_counter()
                place.mkdir()
                saver.save(sess.raw_session(), str(place / "model"), write_meta_graph=False, write_state=False)
                seconds.append(time.perf_counter() - began)
                growth.append(memory.mib())
                shutil.rmtree(place)
    result.write_text(
        json.dumps(
            {
                "method": method,
                "seconds": seconds,
                "median_seconds": statistics.median(seconds),
                "first_seconds": seconds[0],
                "chief_growth_mib": max(growth),
            }
        )
    )


def build(mib: int, variables: int, parameter_servers: int) -> None:
    """``mib`` MiB of float32 in one partitioned variable, or in so many whole ones."""
    v1.train.get_or_create_global_step()
    rows = mib * MIB // (4 * COLUMNS)
    if variables == 1:
        # TensorFlow's plain saver sends pieces as they are, and a message of gRPC ends at 2 GiB.
        partitioner = v1.fixed_size_partitioner(parameter_servers * max(1, mib // 1024))
        v1.get_variable("table", [rows, COLUMNS], initializer=v1.ones_initializer(), partitioner=partitioner)
        return
    each = rows // variables
    for number in range(variables):
        v1.get_variable(f"v{number}", [each, COLUMNS], initializer=v1.ones_initializer())


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        sys.argv[2],
        int(sys.argv[3]),
        int(sys.argv[4]),
        int(sys.argv[5]),
        Path(sys.argv[6]),
    )
