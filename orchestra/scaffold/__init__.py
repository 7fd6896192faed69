"""The first blueprint of a repository: its stacks, its areas, a draft."""
