"""Models that pages are about: a usual one, one of somebody else, and one whose names are an attack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from autodist_saved.graph.stored import saved_model_pb2
from autodist_saved.publish.files import SavedModelFiles
from tests.support.saved_models import write_ours, write_v1

ATTACK = "<script>document.title = 'taken'</script>"
IN_ATTRIBUTE = '"><img src="https://example.invalid/x.png" onerror="document.title = \'taken\'">'


def write_usual(place: Path) -> Path:
    """Two tables on two parameter servers."""
    tables = {f"embeddings/{name}": np.zeros([rows, 8], np.float32) for name, rows in (("user", 600), ("film", 90))}
    return write_ours(place, **tables)


def write_foreign(place: Path) -> Path:
    """Without a manifest."""
    return write_v1(place)


def write_hostile(place: Path) -> Path:
    """Whatever its writer could choose is HTML, or very long."""
    long = "tower" * 60
    write_ours(place, **{ATTACK: np.zeros(4), IN_ATTRIBUTE: np.zeros(4), long: np.zeros(9)})
    files = SavedModelFiles(place)
    proto = saved_model_pb2.SavedModel.FromString(files.saved_model.read_bytes())
    signature = proto.meta_graphs[0].signature_def[ATTACK]
    signature.method_name = IN_ATTRIBUTE
    for tensors in (signature.inputs, signature.outputs):
        tensors[ATTACK].name = tensors[long].name = IN_ATTRIBUTE
    files.saved_model.write_bytes(proto.SerializeToString())
    manifest = json.loads(files.manifest.read_text())
    manifest["task"] = manifest["target"]["path"] = ATTACK
    manifest["witness"]["steps"] = {ATTACK: 3, long: 4}
    manifest["witness"]["training"] = [IN_ATTRIBUTE]
    for interval in manifest["intervals"]:
        interval["phase"] += IN_ATTRIBUTE
    for variable in manifest["plan"]["variables"]:
        for piece in variable["pieces"]:
            piece["task"] += IN_ATTRIBUTE
    files.manifest.write_text(json.dumps(manifest))
    (place / "assets.extra" / ATTACK.replace("/", "|")).touch()
    return place


MODELS = {"usual": write_usual, "foreign": write_foreign, "hostile": write_hostile}
