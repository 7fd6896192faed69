"""make for fleets of coding agents.

The story, which is also the data flow: declared (blueprint) -> planned (plan) -> given a place (workspace)
-> at work (session) -> judged (review) -> landed (train) -> told (report).
"""

__version__ = "0.1.0"
