"""`ha-ssh`: from "I run Home Assistant" to a proven, hardened SSH login."""

__version__ = "0.1.0"
