"""The eject door: a blueprint as POSIX shell functions that need no Python."""
