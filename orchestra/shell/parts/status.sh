# ==== Status and start =============================================================================================

_orchestra_status() {
	o_tip=$(_orchestra_commit "$o_target_ref") || o_tip=
	_orchestra_print_row AGENT STAGE VERDICT COMMITS BEHIND UNCOMMITTED NOTES
	_orchestra_agents _orchestra_print_status
}

_orchestra_print_status() {
	_orchestra_select_agent "$@"
	_orchestra_read_agent
	o_state_word=$o_verdict
	[ -z "$o_landed" ] || o_state_word=landed
	if [ -z "$o_base" ] || [ -z "$o_head" ]; then
		[ -n "$o_base" ] || o_state_word='not spawned'
		_orchestra_print_row "$o_agent" "${o_stage:--}" "$o_state_word" - - - -
		return
	fi
	o_notes=empty
	! _orchestra_read_file "$o_worktree/AGENT_NOTES.md" | _orchestra_notes_filled || o_notes=filled
	o_dirty=$(_orchestra_uncommitted)
	_orchestra_print_row "$o_agent" "${o_stage:--}" "$o_state_word" "$(_orchestra_count "$o_base" "$o_head")" \
		"$(_orchestra_count "$o_head" "$o_tip")" "${o_dirty:-no worktree}" "$o_notes"
}

_orchestra_print_row() { command printf '%-20s %-16s %-18s %7s %7s %11s  %s\n' "$@"; }

# The agent's program, in its worktree and in this terminal. Only the tool has sessions and budgets; what the agent
# changes outside of its scope is found before it lands.
_orchestra_start() {
	_orchestra_read_agent
	[ -z "$o_landed" ] || _orchestra_fail 2 "the work of $o_agent has landed"
	[ -z "$o_discarded" ] || _orchestra_fail 2 "the work of $o_agent was discarded"
	[ -e "$o_worktree/.git" ] || _orchestra_fail 2 "$o_agent has no worktree yet" "orchestra_spawn $o_agent"
	! command grep -q '"state": "not-ready"' "$o_own/setup.json" 2>/dev/null ||
		_orchestra_fail 2 "the set-up of $o_agent failed" "see $o_own/setup.log, fix it, and run orchestra_spawn $o_agent"
	_orchestra_do "start $o_agent in $o_worktree" _orchestra_start_program
}

_orchestra_start_program() {
	o_prompt=$(_orchestra_prompt)
	o_prompt_file=$o_own/prompt
	command printf '%s\n' "$o_prompt" >"$o_scratch/text"
	_orchestra_write_file "$o_prompt_file"
	command rm -rf -- "$o_scratch"
	trap - EXIT HUP INT TERM
	command cd -- "$o_worktree" && _orchestra_program
}

# A new session id, in the form of a UUID.
_orchestra_new_session() {
	command printf '%s' "$o_agent $$ $(command date)" | _orchestra_git hash-object --stdin |
		command sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.\{12\}\).*/\1-\2-4\3-8\4-\5/'
}

_orchestra_print_manual_start() {
	_orchestra_say "cd $o_worktree"
	_orchestra_say "claude \"$o_prompt\"   # or any other program, or work there yourself"
}

# _orchestra_as_agent VARIABLE... COMMAND...: becomes COMMAND, with the variables of the agent in use.
_orchestra_as_agent() {
	exec env "ORCHESTRA_FLEET=$o_fleet" "ORCHESTRA_AGENT=$o_agent" "ORCHESTRA_AGENT_NUMBER=$o_number" \
		"ORCHESTRA_WORKTREE=$o_worktree" "ORCHESTRA_REPO=$o_home" "$@"
}
