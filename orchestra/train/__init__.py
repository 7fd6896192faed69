"""How work lands: candidates, gates, and one compare-and-swap of the target at a time."""
