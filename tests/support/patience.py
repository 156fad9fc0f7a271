"""How long a test waits for what must come, on a machine however busy. No test measures time against it."""

from __future__ import annotations

PATIENCE_SECS = 120.0
