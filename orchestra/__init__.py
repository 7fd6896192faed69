"""make for fleets of coding agents.

The story, which is also the data flow: declared (blueprint) -> planned (plan) -> given a place (workspace)
-> at work (sessions) -> checked (gates) -> judged (review) -> landed (train).
"""

__version__ = "0.1.0"
