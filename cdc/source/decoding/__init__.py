"""Reads and decodes the log in a process of its own, so that decoding and the rest of the work use two cores."""
