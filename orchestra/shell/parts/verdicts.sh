# ==== Review and verdicts ==========================================================================================

# The diff starts at the merge base with the target, so it holds the agent's own work only.
_orchestra_review() {
	_orchestra_read_agent
	[ -n "$o_base" ] && [ -n "$o_head" ] || _orchestra_fail 2 "$o_agent has no branch to review" "orchestra_spawn $o_agent"
	o_fork=$(_orchestra_repo_git merge-base "$o_target_ref" "$o_head") || o_fork=$o_base
	{
		_orchestra_say "==== $o_agent ($o_number): $o_title, at $(_orchestra_short "$o_head"), verdict: $o_verdict"
		_orchestra_notes
		_orchestra_repo_git log --no-decorate --format='%h %an: %s' "$o_fork..$o_head" --
		_orchestra_repo_git diff --no-ext-diff --no-textconv --stat -p "$o_fork" "$o_head" -- ':(top)' ':(top,exclude)TASK.md' ':(top,exclude)AGENT_NOTES.md'
	} | _orchestra_printable
}

# The agent's notes: the file in its worktree, else what it committed.
_orchestra_notes() { _orchestra_read_file "$o_worktree/AGENT_NOTES.md" || _orchestra_repo_git cat-file blob "$o_head:AGENT_NOTES.md" 2>/dev/null; }

# ---- Verdicts are refs; the branch is not changed. A kill between two moves leaves no verdict rather than two.

# _orchestra_require_open [discard]: "discard" repeats one that was killed.
_orchestra_require_open() {
	_orchestra_read_agent
	[ -n "$o_base" ] || _orchestra_fail 2 "$o_agent was not spawned" "orchestra_spawn $o_agent"
	[ -z "$o_landed" ] || _orchestra_fail 2 "$o_agent has already landed as $(_orchestra_short "$o_landed")"
	[ -z "$o_discarded" ] || { [ "${1-}" = discard ] && [ "$o_discarded" = "$o_head" ]; } ||
		_orchestra_fail 2 "$o_agent was discarded" "to bring it back: git update-ref --no-deref -d $o_ref/discarded"
	[ -n "$o_head" ] || _orchestra_fail 3 "branch $o_branch of $o_agent is missing" "git branch $o_branch COMMIT"
}

_orchestra_approve() {
	_orchestra_require_open
	[ "$o_base" != "$o_head" ] || _orchestra_fail 2 "$o_agent has no commits to approve" "look at $o_worktree"
	_orchestra_move "$o_ref/changes-requested" "$o_changes" '' approve || exit
	_orchestra_move "$o_ref/approved" "$o_approved" "$o_head" approve || exit
	_orchestra_say "$o_agent: approved at $(_orchestra_short "$o_head")"
	o_dirty=$(_orchestra_uncommitted)
	[ "${o_dirty:-0}" = 0 ] || _orchestra_warn "  not committed, so not part of it: $o_dirty files in $o_worktree"
}

# _orchestra_request_changes MESSAGE: it is kept in TASK.md and in a tag object.
_orchestra_request_changes() {
	[ -n "$1" ] || _orchestra_fail 2 "a request for changes needs a message" "orchestra_request_changes $o_agent 'MESSAGE'"
	_orchestra_require_open
	[ -d "$o_worktree" ] || _orchestra_fail 3 "the worktree of $o_agent is missing" "orchestra_spawn $o_agent"
	_orchestra_read_file "$o_worktree/TASK.md" >"$o_scratch/text"
	command printf '\n## Changes requested on %s\n\n%s\n' "$(_orchestra_short "$o_head")" "$1" >>"$o_scratch/text"
	_orchestra_write_file "$o_worktree/TASK.md"
	_orchestra_move "$o_ref/approved" "$o_approved" '' 'request changes' || exit
	o_tag=$(command printf 'object %s\ntype commit\ntag %s-changes-requested\ntagger orchestra <orchestra@localhost> %s +0000\n\n%s\n' \
		"$o_head" "$o_agent" "$(command date +%s)" "$1" | _orchestra_repo_git mktag) || exit 3
	_orchestra_move "$o_ref/changes-requested" "$o_changes" "$o_tag" 'request changes' || exit
	_orchestra_say "$o_agent: changes-requested at $(_orchestra_short "$o_head")"
}

_orchestra_discard() {
	[ -n "$1" ] || _orchestra_fail 2 "a discard needs a reason" "orchestra_discard $o_agent 'REASON'"
	_orchestra_require_open discard
	_orchestra_move "$o_ref/approved" "$o_approved" '' discard || exit
	_orchestra_move "$o_ref/changes-requested" "$o_changes" '' discard || exit
	_orchestra_move "$o_ref/discarded" "$o_discarded" "$o_head" "discard: $1" || exit
	_orchestra_say "$o_agent: discarded; to bring it back: git branch $o_branch $o_ref/discarded, if clean removed the branch, and then" "git update-ref --no-deref -d $o_ref/discarded"
}
