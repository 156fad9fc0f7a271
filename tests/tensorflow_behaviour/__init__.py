"""What TensorFlow's own classes do for a single machine, ours do too: each test here would pass with theirs.

All of it is run twice, the second time in a process in which TensorFlow's second version is switched off
(``tests/test_without_v2_behavior.py``).
"""
