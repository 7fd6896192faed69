"""What must pass before work lands: commands on the candidate, and checks of orchestra's own on the branch."""
