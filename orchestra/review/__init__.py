"""What a person sees and decides: notes, diffs, verdicts, where each agent stands."""
