"""Detect tool chains, one module for each. A finder reads tracked files and proposes only tools that they name."""
