"""One file, one SSH app."""
