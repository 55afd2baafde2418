"""Looks at data before anybody trains on it, and puts it in order: behind `p2ptk data`."""
