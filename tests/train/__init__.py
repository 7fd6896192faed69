"""Tests of the train."""
