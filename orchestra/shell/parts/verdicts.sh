# ==== Verdicts: refs of the agent's, never its branch ==============================================================

# _orchestra_approve [COMMIT]: promise: an approval names one exact commit; a later commit makes it stale. With COMMIT, only
# while the branch is still there.
_orchestra_approve() {
	_orchestra_judge
	[ "${1-$o_head}" = "$o_head" ] || _orchestra_fail 3 "$o_agent was committed to in the meantime"
	[ "$o_base" != "$o_head" ] || _orchestra_fail 2 "$o_agent has no commits to approve" "look at $o_worktree"
	# Withdrawn first: a kill between the two leaves no verdict rather than two.
	_orchestra_move "$o_ref/changes-requested" "$(_orchestra_tag_of_changes)" '' approve || exit
	_orchestra_move "$o_ref/approved" "$o_approved" "$o_head" approve || exit
	_orchestra_say "$o_agent: approved at $(_orchestra_short "$o_head")"
	_orchestra_tell_uncommitted
}

# _orchestra_request_changes MESSAGE: promise: what was asked stands in the agent's TASK.md and in a tag object.
_orchestra_request_changes() {
	o_message=$(_orchestra_stripped "$1")
	[ -n "$o_message" ] || _orchestra_fail 2 "a request for changes needs a message" \
		"orchestra_request_changes $o_agent 'what is to change'"
	_orchestra_judge
	_orchestra_append_to_task
	_orchestra_move "$o_ref/approved" "$o_approved" '' 'request changes' || exit
	o_tag=$(_orchestra_write_tag) || exit 3
	_orchestra_move "$o_ref/changes-requested" "$(_orchestra_tag_of_changes)" "$o_tag" 'request changes' || exit
	_orchestra_say "$o_agent: changes-requested at $(_orchestra_short "$o_head")"
}

# _orchestra_discard REASON: promise: nothing is lost; the head stays under a ref, and the way back is printed.
_orchestra_discard() {
	[ -n "$(_orchestra_stripped "$1")" ] || _orchestra_fail 2 "a discard needs a reason" \
		"orchestra_discard $o_agent 'why it is not wanted'"
	_orchestra_judge
	_orchestra_move "$o_ref/discarded" '' "$o_head" "discard: $1" || exit
	_orchestra_move "$o_ref/approved" "$o_approved" '' discard || exit
	_orchestra_move "$o_ref/changes-requested" "$(_orchestra_tag_of_changes)" '' discard || exit
	_orchestra_say "$o_agent: discarded at $(_orchestra_short "$o_head")"
	_orchestra_tell "  its head is kept as $o_ref/discarded"
	_orchestra_tell "  to bring it back while its branch is there: git update-ref -d $o_ref/discarded"
	_orchestra_tell "  to bring it back after clean: git branch $o_branch $o_ref/discarded &&" \
		"git update-ref -d $o_ref/discarded && orchestra_spawn $o_agent"
}

# What can be judged: spawned, not landed, not discarded, with a branch.
_orchestra_judge() {
	_orchestra_read
	[ -n "$o_base" ] || _orchestra_fail 2 "$o_agent was not spawned" "orchestra_spawn $o_agent"
	[ -z "$o_landed" ] || _orchestra_fail 2 "$o_agent has landed as $(_orchestra_short "$o_landed")" \
		"what landed is not judged again"
	[ -z "$o_discarded" ] || _orchestra_fail 2 "$o_agent was discarded" \
		"to bring it back: git update-ref -d $o_ref/discarded"
	[ -n "$o_head" ] || _orchestra_fail 3 "branch $o_branch of $o_agent is gone" "git branch $o_branch COMMIT"
}

_orchestra_tag_of_changes() {
	_orchestra_git -C "$o_common" rev-parse --verify --quiet "$o_ref/changes-requested" || command :
}

# _orchestra_stripped TEXT: without the blanks and newlines around it.
_orchestra_stripped() {
	o_text=${1#"${1%%[!" $o_tab$o_newline"]*}"}
	command printf '%s\n' "${o_text%"${o_text##*[!" $o_tab$o_newline"]}"}"
}

# A killed call may have written the section already; then it is not written twice.
_orchestra_append_to_task() {
	[ -d "$o_worktree" ] || _orchestra_fail 3 "the worktree of $o_agent is gone" "orchestra_spawn $o_agent makes it again"
	o_task=$o_worktree/TASK.md
	command printf '\n## Changes requested on %s\n\n%s\n' "$(_orchestra_short "$o_head")" "$o_message" >"$o_scratch/section"
	command cat -- "$o_task" >"$o_scratch/text" 2>/dev/null || : >"$o_scratch/text"
	if ! command tail -c "$(($(command wc -c <"$o_scratch/section")))" "$o_scratch/text" | command cmp -s - "$o_scratch/section"; then
		command cat "$o_scratch/section" >>"$o_scratch/text"
		command cp -- "$o_scratch/text" "$o_worktree/.TASK.md.$$" && command mv -f -- "$o_worktree/.TASK.md.$$" "$o_task" || exit 3
	fi
}

_orchestra_write_tag() {
	o_who=$(_orchestra_git -C "$o_common" var GIT_COMMITTER_IDENT 2>/dev/null) ||
		o_who="orchestra <orchestra@localhost> $(command date +%s) +0000"
	command printf 'object %s\ntype commit\ntag %s-changes-requested\ntagger %s\n\n%s\n' \
		"$o_head" "$o_agent" "$o_who" "$o_message" | _orchestra_git -C "$o_common" mktag
}

# What a person who approves should know is not part of it.
_orchestra_tell_uncommitted() {
	o_dirty=$(_orchestra_uncommitted)
	[ "${o_dirty:-0}" = 0 ] ||
		_orchestra_tell "  not part of it, since they are not committed: $o_dirty files in $o_worktree"
}
