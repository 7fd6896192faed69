"""The one door to git: what orchestra may ask of a repository and do to it."""
