"""The command line: one file per command, joined up in ``main.py``. Nothing here loads TensorFlow."""
