"""The face: Typer commands; flags in, exit code out, no decisions."""
