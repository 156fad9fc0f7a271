"""Bundles that are streamed without an export around it."""

from __future__ import annotations

from typing import Any

from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.stream import BundleDestination, Streamed, streaming
from autodist_saved.plan import ExportPlan
from autodist_saved.sources.source import Source


def stream(plan: ExportPlan, source: Source, prefix: str, options: ExportOptions, **destination: Any) -> Streamed:
    """Stream a staged plan. ``destination``: further attributes of :class:`BundleDestination`."""
    with streaming(plan, source, BundleDestination(prefix, **destination), options) as streamed:
        return streamed
