"""Texts of a first blueprint: its head, the rules for every agent, and a task for each kind of area."""

from __future__ import annotations

from typing import Final

HEAD: Final = """\
# yaml-language-server: $schema=../.orchestra/blueprint.schema.json
# $schema: ../.orchestra/blueprint.schema.json
#
{detected}
#
# This is a draft. `orchestra plan` shows what it would do, `orchestra spawn` starts it. Adapt:
#   - the tasks: an agent's own `task:` and `done_when:` replace those of its profile;
#   - the agents: remove those that you don't need, divide a scope between two; the scopes below share no path;
#   - the gates, which must pass before anything lands. `orchestra check` runs them on the target as it is now.
version: 1
name: {name}
title: {title}
description: >-
  {description}

overlap: error                      # plan and spawn refuse scopes that share a file
# stages: [first, second]           # EDIT: only where some agents' work must land before that of others
"""
GOAL_HEAD: Final = """\
# yaml-language-server: $schema=../.orchestra/blueprint.schema.json
# $schema: ../.orchestra/blueprint.schema.json
#
{about}
#
# The agents with their tasks and scopes are a proposal of the Claude Code client; the rest was detected. Read the tasks
# before you spawn: `orchestra plan` shows what would happen, `orchestra check` runs the gates on the target as it is.
version: 1
name: {name}
title: {title}
description: {description}

overlap: error                      # plan and spawn refuse scopes that share a file
{stages}"""
BRANCHES: Final = """\
# yaml-language-server: $schema=../.orchestra/blueprint.schema.json
# $schema: ../.orchestra/blueprint.schema.json
#
{detected}
#
# The branches that `orchestra adopt` takes in land on the target when they pass the gates below and you approved them.
# `orchestra check` runs the gates on the target as it is now.
version: 1
name: {name}
title: Adopted branches
target: {target}

runner: {{kind: none}}               # the branches have authors of their own
limits: {{gates: 1}}                 # candidates under test at once. 2 needs tests without fixed ports or shared files
"""
LIMITS: Final = """\
runner:
  kind: claude
  max_turns: 200
  max_budget_usd: {each}                # for each agent

limits:
  agents: {at_once}                         # sessions at once
  gates: 1                          # candidates under test at once. 2 needs tests without fixed ports or shared files
  budget_usd: {all}                    # for the fleet
"""
RULES: Final = """\
standards:                          # sections of every agent's CLAUDE.md
  Working next to other agents:
    - "Other agents work on this repository at the same time, each on its own branch; you see only landed work."
    - "Report a problem outside your scope in AGENT_NOTES.md under Open Questions, with file and line."
    - "Never rely on a fixed port, database name or file in `/tmp`: another agent may be using it."
  How we work here:
    - "Read the surrounding code first and follow its style; the repository's own guides come first."
    - "One purpose in each commit; the message says why. Each commit passes the tests."
    - "Each fixed defect has a test that failed before the fix."

never:
  - "Change shared configuration or another protected file unless TASK.md allows it"
  - "Refactor, rename or reformat code outside your scope"
  - "Add a dependency without a reason written in AGENT_NOTES.md"
  - "Skip, weaken or delete a test to make the suite pass"
  - "Commit secrets or credentials"
"""
PROFILES: Final = {
    "code": """\
  code:                             # EDIT: the task of agents without their own `task:`
    title: "Defects and tests of <<where>>"
    task: |
      **Goal.** <<where>> does what it promises, and tests show it.

      **Steps.**
      1. Read it and its callers. List its promises in AGENT_NOTES.md, in a few sentences.
      2. Look for defects: unchecked input, lost errors, resources that stay open, races,
         limits and empty cases.
      3. For each defect write a test that fails, then the smallest fix, together in one commit.
      4. Add a test for each promise without one.

      **Out of scope.** New features; names, signatures and behaviour that callers rely on; files outside your scope.
    done_when:
      - "AGENT_NOTES.md lists the promises of <<where>>, and for each the test that shows it"
      - "Every fixed defect has a test that fails without the fix"
      - "The gates pass in this worktree, and nothing that callers use was renamed or removed"
""",
    "e2e": """\
  e2e:
    task: |
      **Goal.** The tests in <<where>> are reliable: they pass when the product works and fail when it does not.

      **Steps.**
      1. Run the suite three times, in different orders if the runner supports that. Write down which tests are slow,
         flaky, or need the network, the clock or a certain machine.
      2. Fix the cause of flaky tests: wait for events instead of times, use separate files and ports for each test.
      3. Find tests that cannot fail (no assertion, one on a mock, a swallowed exception) and fix them.
      4. Add missing tests across parts: the two or three most common tasks of a user.

      **Out of scope.** Production code: describe a defect that a test shows in AGENT_NOTES.md and keep the test.
    done_when:
      - "The suite passes three times in a row; AGENT_NOTES.md gives its duration before and after"
      - "Each changed test was seen to fail when the code it checks is broken; AGENT_NOTES.md says how"
      - "No test was removed or skipped"
""",
    "docs": """\
  docs:
    task: |
      **Goal.** <<where>> is correct, and a newcomer reaches a first result with it.

      **Steps.**
      1. Follow it as a newcomer: install, first use, the most common task. Run every command and example.
      2. Fix what is wrong, missing or out of date: options, signatures, outputs, links, versions.
      3. List undocumented public functions and options in AGENT_NOTES.md, and document the five most important.

      **Out of scope.** Code, even where it is wrong; rewriting correct text for style.
    done_when:
      - "Every command and example that was touched was run; AGENT_NOTES.md shows the result"
      - "No link within the repository is broken"
      - "Each changed statement agrees with the code; AGENT_NOTES.md names the place"
""",
    "infrastructure": """\
  infrastructure:
    task: |
      **Goal.** Scripts and deployment in <<where>> behave the same on every machine, and stop on errors.

      **Steps.**
      1. For each script find out what calls it, what it needs and changes, and what a second run does.
      2. Fix what fails silently or depends on the machine: unquoted variables, ignored exit codes, unpinned
         versions, files in fixed places, secrets in arguments.
      3. Add a short head comment to each script: purpose, needs, effects.

      **Out of scope.** What the scripts build or deploy, the pipeline's own files, secrets. Deploy nothing.
    done_when:
      - "Each changed script was run, or AGENT_NOTES.md says why it could not be and how it was checked instead"
      - "A second run of a script does no harm, or its head comment warns of it"
      - "Names and options that the pipeline uses are unchanged"
""",
}
