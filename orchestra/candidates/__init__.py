"""Candidate commits: what the target would become with branches on it."""
