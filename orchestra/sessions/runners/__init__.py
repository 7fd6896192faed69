"""One module for each kind of program that an agent can be."""
