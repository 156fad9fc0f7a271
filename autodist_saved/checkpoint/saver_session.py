"""The session that TensorFlow's saver is given, so that its ops for saving and restoring become streams of ours.

Everything else that ``tf.compat.v1.train.Saver`` does, naming, numbering, checkpoint state, deleting, meta graphs,
stays TensorFlow's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from autodist_saved.tf_internals import private_api


class SaverSession(private_api.SessionInterface):  # type: ignore[misc]
    """A session in which running some names calls functions instead; all other calls go to the real one."""

    def __init__(self, session: Any, filename_tensor: str, streams: dict[str, Callable[[str], str | None]]) -> None:
        """``streams`` are called, by the name of what is run, with the file name that is fed."""
        self._session = session
        self._filename_tensor = filename_tensor
        self._streams = streams

    @property
    def graph(self) -> tf.Graph:
        """The real session's graph."""
        return self._session.graph

    @property
    def sess_str(self) -> Any:
        """The real session's target."""
        return self._session.sess_str

    def run(self, fetches: Any, feed_dict: Any = None, **arguments: Any) -> Any:
        """Run what is asked for, streamed if it has a stream."""
        if isinstance(fetches, str) and fetches in self._streams and list(feed_dict) == [self._filename_tensor]:
            return self._streams[fetches](tf.compat.as_str(feed_dict[self._filename_tensor]))
        return self._session.run(fetches, feed_dict, **arguments)
