"""One module for each way of building software that ``init`` knows; each looks at a folder and says what it found.

Invariant: a finder reads files below the repository's root and nothing else, and proposes only commands whose tool
the repository itself names. Refuses: running anything, guessing where a wrong gate would be red from the start.
"""
