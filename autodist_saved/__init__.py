"""One consistent SavedModel out of any distributed TensorFlow job.

The names below are all there is to know; each is loaded when it is first used, so that importing this
package does not import TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autodist_saved.builder import SavedModelBuilder
    from autodist_saved.cluster import Cluster, ControlFiles, Task
    from autodist_saved.errors import AutodistSavedError
    from autodist_saved.hooks import ChiefExportHook
    from autodist_saved.options import ExportOptions, ExportSchedule, SessionOptions
    from autodist_saved.parameter_server import serve
    from autodist_saved.publish.best import BestBy
    from autodist_saved.publish.retention import Retention
    from autodist_saved.publish.versioned import VersionedTarget
    from autodist_saved.report.report import ExportReport
    from autodist_saved.report_views.tensorboard import write_summary
    from autodist_saved.saver import Saver
    from autodist_saved.session import DistributedSession, create_distributed_session

_HOME = {
    "AutodistSavedError": "errors",
    "BestBy": "publish.best",
    "ChiefExportHook": "hooks",
    "Cluster": "cluster",
    "ControlFiles": "cluster",
    "DistributedSession": "session",
    "ExportOptions": "options",
    "ExportReport": "report.report",
    "ExportSchedule": "options",
    "Retention": "publish.retention",
    "SavedModelBuilder": "builder",
    "Saver": "saver",
    "SessionOptions": "options",
    "Task": "cluster",
    "VersionedTarget": "publish.versioned",
    "create_distributed_session": "session",
    "serve": "parameter_server",
    "write_summary": "report_views.tensorboard",
}

_NEED_TENSORFLOW = {"builder", "hooks", "parameter_server", "report_views.tensorboard", "saver", "session"}

__all__ = [
    "AutodistSavedError",
    "BestBy",
    "ChiefExportHook",
    "Cluster",
    "ControlFiles",
    "DistributedSession",
    "ExportOptions",
    "ExportReport",
    "ExportSchedule",
    "Retention",
    "SavedModelBuilder",
    "Saver",
    "SessionOptions",
    "Task",
    "VersionedTarget",
    "create_distributed_session",
    "serve",
    "write_summary",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOME[name] in _NEED_TENSORFLOW:
        importlib.import_module(f"{__name__}.tf_internals.installed").require_tensorflow()
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
