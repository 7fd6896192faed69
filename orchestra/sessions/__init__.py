"""Agents at work: one runner per kind, signals in, state out."""
