"""Where agents work: worktrees, the files rendered into them, provisioning, and cleaning up."""
