"""The whole demo, ``python -m examples.flight_delays``: train on a cluster, export, reload, compare."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path

from rich.console import Console

import autodist_saved as ads
from examples.flight_delays.data import find_archive
from examples.flight_delays.steps import Steps
from examples.flight_delays.tables import complaints, measurements_table, variables_table


def main() -> None:
    """Run the demo. Print ``SavedModel: PATH`` and what to do next, or exit with the reason and a status not 0."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.flight_delays", description="Train on a cluster, export, reload, compare."
    )
    parser.add_argument("--output", type=Path, help="new directory for all files (demo-output/TIME)")
    parser.add_argument("--config", default="cluster_configs/local-2ps-2workers.yaml", help="cluster file")
    parser.add_argument("--epochs", type=int, default=3, help="passes over all flights")
    arguments = parser.parse_args()
    output = arguments.output or Path("demo-output", f"{datetime.now():%Y%m%d-%H%M%S}")
    if output.exists():
        parser.error(f"{output} exists already; name a new directory with --output")
    try:
        find_archive()
    except ModuleNotFoundError as error:
        parser.error(str(error))

    results = output / "results"
    places = ("--export-dir", str(output / "model"), "--results-dir", str(results))
    training = ("--checkpoint-dir", str(output / "checkpoints"), "--epochs", str(arguments.epochs))
    program = Path(sys.executable).with_name("autodist-saved")
    launch = (str(program), "launch")
    train = (sys.executable, "-m", "examples.flight_delays.train", *places, *training)
    reload = (sys.executable, "-m", "examples.flight_delays.reload", *places)

    steps = Steps()
    steps.run("train and export on a cluster", *launch, arguments.config, "--", *train)
    # Launched, too: so TensorFlow's lines about the machine are shown only if it fails.
    steps.run("reload on one machine", *launch, "cluster_configs/single.yaml", "--", *reload)

    report = ads.ExportReport.from_json((results / "export.json").read_text())
    measured = json.loads((results / "reload.json").read_text())
    Console().print(variables_table(report.plan), measurements_table(measured))
    if wrong := complaints(measured):
        sys.exit("\n".join(["The reloaded model is not as it should be:", *wrong]))
    model = output / "model"
    print(f"SavedModel: {model}")
    shown = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
    print(f"Look at it: {shown} inspect {model}")


if __name__ == "__main__":
    main()
