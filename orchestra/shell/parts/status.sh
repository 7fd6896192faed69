# ==== Status and start =============================================================================================

_orchestra_status() {
	o_tip=$(_orchestra_commit "$o_target_ref")
	_orchestra_print_row AGENT STAGE VERDICT COMMITS BEHIND UNCOMMITTED
	_orchestra_agents _orchestra_print_status
}

_orchestra_print_status() {
	_orchestra_select_agent "$@"
	_orchestra_read_agent
	[ -n "$o_base" ] || o_verdict='not spawned'
	[ -z "$o_landed" ] || o_verdict=landed
	if [ -z "$o_base" ] || [ -z "$o_head" ]; then
		_orchestra_print_row "$o_agent" "${o_stage:--}" "$o_verdict" - - -
		return
	fi
	o_dirty=$(_orchestra_uncommitted)
	_orchestra_print_row "$o_agent" "${o_stage:--}" "$o_verdict" "$(_orchestra_count "$o_base" "$o_head")" \
		"$(_orchestra_count "$o_head" "$o_tip")" "${o_dirty:-no worktree}"
}

_orchestra_print_row() { command printf '%-20s %-16s %-18s %7s %7s %11s\n' "$@"; }

# _orchestra_count FROM TO: the number of commits that TO has and FROM lacks.
_orchestra_count() { _orchestra_repo_git rev-list --count "$1..$2" -- 2>/dev/null || command echo '?'; }

# The agent's program, in its worktree and in this terminal. Only the tool has sessions and budgets; what the agent
# changes outside of its scope is found before it lands.
_orchestra_start() {
	_orchestra_read_agent
	[ -z "$o_landed$o_discarded" ] || _orchestra_fail 2 "the work of $o_agent has landed or was discarded"
	[ -e "$o_worktree/.git" ] || _orchestra_fail 2 "$o_agent has no worktree yet" "orchestra_spawn $o_agent"
	! command grep -qs '"state": "not-ready"' "$o_own/setup.json" ||
		_orchestra_fail 2 "the set-up of $o_agent failed" "see $o_own/setup.log, fix it, and run orchestra_spawn $o_agent"
	_orchestra_do "start $o_agent in $o_worktree" _orchestra_start_program
}

_orchestra_start_program() {
	o_prompt=$(_orchestra_prompt)
	o_prompt_file=$o_own/prompt
	_orchestra_say "$o_prompt" | _orchestra_write "$o_prompt_file"
	command rm -rf -- "$o_scratch"
	trap - EXIT HUP INT TERM
	command cd -- "$o_worktree" && _orchestra_program
}
