"""comms: the right message to the right person at the right time, once."""

__version__ = "0.1.0"
