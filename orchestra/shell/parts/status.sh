# ==== Status =======================================================================================================

_orchestra_status() {
	o_tip=$(_orchestra_tip "$o_target_ref") || o_tip=
	_orchestra_row AGENT STAGE VERDICT COMMITS BEHIND UNCOMMITTED NOTES
	_orchestra_agents _orchestra_status_of
}

_orchestra_status_of() {
	_orchestra_use "$@"
	_orchestra_read
	if [ -z "$o_base" ]; then
		_orchestra_row "$o_agent" "$o_stage" 'not spawned' - - - -
		return
	fi
	o_said=$o_verdict
	[ -z "$o_landed" ] || o_said=landed
	o_notes=empty
	! _orchestra_notes_filled <"$o_worktree/AGENT_NOTES.md" 2>/dev/null || o_notes=filled
	o_dirty=$(_orchestra_uncommitted)
	_orchestra_row "$o_agent" "${o_stage:--}" "$o_said" "$(_orchestra_count "$o_base" "$o_head")" \
		"$(_orchestra_count "$o_head" "$o_tip")" "${o_dirty:-no worktree}" "$o_notes"
}

_orchestra_row() { command printf '%-20s %-16s %-18s %7s %7s %11s  %s\n' "$@"; }
