"""The words of a first blueprint: its head, the rules for every agent, and an assignment for each kind of area.

Invariant: an assignment is real work that does no harm where a person has not looked at it yet. Data only.
"""

from __future__ import annotations

from typing import Final

HEAD: Final = """\
# yaml-language-server: $schema=../.orchestra/blueprint.schema.json
# $schema: ../.orchestra/blueprint.schema.json
#
{found}
#
# It is a draft: `orchestra plan` shows what it would do, `orchestra spawn` starts it. What you will want to change:
#   - the assignments: give an agent a `task:` and `done_when:` of its own, and they take the place of the profile's;
#   - the agents: drop those you don't need, divide a scope between two; the scopes below share no path;
#   - the gates: what has to pass before anything lands. They must pass on the target as it is today.
version: 1
name: {name}
title: {title}
description: >-
  {description}
"""
RULES: Final = """\
standards:                          # sections of every agent's CLAUDE.md
  Working beside other agents:
    - "Other agents work on this repository at the same time, each on a branch of its own; you see what has landed."
    - "Something wrong or missing outside your scope goes into AGENT_NOTES.md under Open Questions, with file and line."
    - "Never rely on a fixed port, database name or file in `/tmp`: another agent may use it at this moment."
  How we work here:
    - "Read the code around a change first, and write as it is written; the repository's own guides come first."
    - "One purpose in each commit; the message says why. Each commit passes the tests."
    - "A mended defect has a test that failed before."

never:
  - "Change shared configuration or another protected file unless TASK.md says that you may"
  - "Refactor, rename or reformat code outside your scope"
  - "Add a dependency without a reason written in AGENT_NOTES.md"
  - "Skip, weaken or delete a test to get green"
  - "Commit secrets or credentials"
"""
PROFILES: Final = {
    "code": """\
  code:                             # EDIT: what agents do who have no `task:` of their own
    title: "Defects and tests of <<where>>"
    task: |
      **Goal.** Your part, <<where>>, does what it promises, and tests show it.

      **How to go about it.**
      1. Read it and its callers. Write its promises down in AGENT_NOTES.md, in a few sentences.
      2. Look for what breaks them: input that is not checked, errors that get lost, resources that stay open, races,
         limits and empty cases.
      3. For each defect a test that fails, then the smallest change that mends it, in a commit of their own.
      4. A promise without a test gets one.

      **Not yours.** New features; names, signatures and behaviour that callers rely on; files outside your scope.
    done_when:
      - "AGENT_NOTES.md lists the promises of <<where>>, and for each the test that shows it"
      - "Every mended defect has a test that fails without the change"
      - "The gates pass in this worktree, and nothing that callers use was renamed or removed"
""",
    "suite": """\
  suite:
    task: |
      **Goal.** The tests in <<where>> can be believed: green means that it works, red means that it does not.

      **How to go about it.**
      1. Run the suite three times, in different orders where the runner can do that. Write down what takes longest,
         what flakes, and what needs the network, the clock or a certain machine.
      2. Mend the flaky ones at their cause: wait for the event and not for a time, own files and ports for each test.
      3. Find tests that cannot fail (no assertion, one on a mock, a swallowed exception) and make them able to.
      4. Add what is missing between the parts: the two or three journeys that a user takes most.

      **Not yours.** Production code, also where a test shows it wrong: describe it in AGENT_NOTES.md, keep the test.
    done_when:
      - "The suite passes three times in a row, and AGENT_NOTES.md says how long it takes now and before"
      - "Each test that was changed is shown to fail when what it checks is broken; AGENT_NOTES.md says how"
      - "No test was removed or skipped"
""",
    "docs": """\
  docs:
    task: |
      **Goal.** What <<where>> says is true today, and a newcomer gets to a first result with it.

      **How to go about it.**
      1. Follow the way of a newcomer: install, first use, the most common task. Run every command and example.
      2. Mend what is wrong, missing or out of date: options, signatures, outputs, links, versions.
      3. Public functions and options that are documented nowhere: list them in AGENT_NOTES.md, write up the five that
         matter most.

      **Not yours.** Code, also where it is what is wrong; rewriting what is right for the sake of style.
    done_when:
      - "Every command and example that was touched has been run, and AGENT_NOTES.md shows the outcome"
      - "No link within the repository leads nowhere"
      - "Each statement that changed can be found in the code; AGENT_NOTES.md names the place"
""",
    "scripts": """\
  scripts:
    task: |
      **Goal.** Scripts and deployment in <<where>> do the same on every machine, and stop where something goes wrong.

      **How to go about it.**
      1. Read each of them: what calls it, what it needs, what it changes, what happens when it is run twice.
      2. Mend what fails silently or depends on the machine: unquoted variables, ignored exit codes, versions that
         float, files in fixed places, secrets in arguments.
      3. A short head in each script says what it does, needs and leaves behind.

      **Not yours.** What the scripts build or deploy, the pipeline's own files, secrets; nothing is deployed from here.
    done_when:
      - "Each changed script was run, or AGENT_NOTES.md says why it could not be and how it was checked instead"
      - "A script that is run twice does no harm, or says so in its head"
      - "Names and options that the pipeline uses are unchanged"
""",
    "rest": """\
  rest:
    task: |
      **Goal.** What lies outside the other agents' parts is in order: no dead files, no wrong words, no surprises.

      **How to go about it.**
      1. Look through <<where>>. Write down in AGENT_NOTES.md what each thing is for.
      2. Mend what is plainly wrong: instructions that do not work, names that no longer exist, broken links.
      3. Propose, but do not do, what others would have to agree to: removing files, changing settings.

      **Not yours.** Anything that another agent's scope holds; protected files; removing what might be in use.
    done_when:
      - "AGENT_NOTES.md says for each changed file what was wrong and how that was found"
      - "Nothing was removed that is mentioned anywhere in the repository"
      - "The gates pass in this worktree"
""",
}
