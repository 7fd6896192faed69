"""What spawn and merge would meet, told before money is spent: findings, merge order, what the fleet takes.

Invariant: writes nothing. Findings are values that say what to change in the blueprint, and where.
"""
