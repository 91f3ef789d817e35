"""The order of things: one short function per command."""
