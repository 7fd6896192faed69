"""What must pass before work lands: commands on the candidate, and built-in checks of the branch."""
