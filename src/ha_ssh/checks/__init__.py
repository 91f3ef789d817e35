"""One file, one truth about working SSH access."""
