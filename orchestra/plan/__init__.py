"""Plan a fleet before it runs: findings, merge order, resources. Writes nothing."""
