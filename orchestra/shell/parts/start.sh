# ==== Start: the agent's program, in its worktree and in this terminal =============================================
#
# The tool keeps sessions, budgets and a guard of the scope; a script hands you the program. What it changes outside its
# scope is found by the scope gate before it lands.

_orchestra_start() {
	_orchestra_read
	[ -z "$o_landed" ] || _orchestra_fail 2 "the work of $o_agent has landed"
	[ -z "$o_discarded" ] || _orchestra_fail 2 "the work of $o_agent was discarded"
	[ -e "$o_worktree/.git" ] || _orchestra_fail 2 "$o_agent has no worktree yet" "orchestra_spawn $o_agent makes one"
	! command grep -q '"state": "not-ready"' "$o_state/fleets/$o_fleet/agents/$o_agent/setup.json" 2>/dev/null ||
		_orchestra_fail 2 "the set-up of $o_agent failed" "see its setup.log, mend it, and orchestra_spawn $o_agent again"
	_orchestra_do "start $o_agent in $o_worktree" _orchestra_start_program
}

_orchestra_start_program() {
	o_prompt=$(_orchestra_prompt)
	o_prompt_file=$o_state/fleets/$o_fleet/agents/$o_agent/prompt
	command mkdir -p -- "${o_prompt_file%/*}" && command printf '%s\n' "$o_prompt" >"$o_prompt_file" || exit 3
	command rm -rf -- "$o_scratch"
	trap - EXIT HUP INT TERM
	command cd -- "$o_worktree" && _orchestra_program
}

# An id that no other session has, in the form of a UUID.
_orchestra_session() {
	command printf '%s' "$o_agent $$ $(command date)" | _orchestra_git hash-object --stdin |
		command sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.\{12\}\).*/\1-\2-4\3-8\4-\5/'
}

_orchestra_say_by_hand() {
	_orchestra_say "cd $o_worktree"
	_orchestra_say "claude \"$o_prompt\"   # or any other program, or yourself"
}
