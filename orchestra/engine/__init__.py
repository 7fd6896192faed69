"""Where jobs run: commands in, events and results out. Knows nothing of agents, fleets or refs."""
