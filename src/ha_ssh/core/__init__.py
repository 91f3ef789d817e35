"""The pure heart: nouns, planning, and text in, text out."""
