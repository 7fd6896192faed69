"""A blueprint as POSIX shell scripts that need no Python."""
