"""Pull requests: what merge opens on GitHub or GitLab through gh or glab, instead of moving the target itself."""
