"""Measurements, each a command of its own; `RESULTS.md` is what they gave."""
