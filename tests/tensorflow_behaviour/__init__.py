"""What TensorFlow's own classes do for a single machine, ours do too: but for what says more than theirs
(a problem told, a saver made in a copy), each test here passes with TensorFlow's classes as well.

All of it is run twice, the second time in a process in which TensorFlow's second version is switched off
(``tests/tensorflow_behaviour/test_without_v2_behavior.py``).
"""
