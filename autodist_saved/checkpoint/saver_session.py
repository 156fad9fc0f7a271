"""A session for TensorFlow's saver, in which its ops for saving and restoring become our streams.

``tf.compat.v1.train.Saver`` still does everything else: naming, numbering, checkpoint state, deleting, meta graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from autodist_saved.tf_internals import private_api


class SaverSession(private_api.SessionInterface):  # type: ignore[misc]
    """Calls a function where certain names are run. All other calls go to the real session."""

    def __init__(self, session: Any, filename_tensor: str, streams: dict[str, Callable[[str], str | None]]) -> None:
        """Wrap a session.

        Args:
            session: the real one.
            filename_tensor: name of the tensor to which TensorFlow's saver feeds the checkpoint prefix.
            streams: by the name that is run, the function to call with that prefix.
        """
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
        """Call the stream of what is run, or run it."""
        if isinstance(fetches, str) and fetches in self._streams and list(feed_dict) == [self._filename_tensor]:
            return self._streams[fetches](tf.compat.as_str(feed_dict[self._filename_tensor]))
        return self._session.run(fetches, feed_dict, **arguments)
