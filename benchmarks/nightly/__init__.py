"""The nightly job: has a change of the code made tuning worse, or slower?

`python -m benchmarks.nightly`; docs/nightly.md says what it measures and when it alarms.
"""
