"""Proposals that resolve a text conflict (rerere, mergiraf). Off by default."""
