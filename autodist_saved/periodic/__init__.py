"""Exports again and again while a job trains: when, in which thread, how often tried."""
