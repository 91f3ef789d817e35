"""How results are shown: to people (Rich) and to machines (JSON)."""
