"""Checkpoints of a session: what tf.compat.v1.train.Saver saves and restores, streamed."""
