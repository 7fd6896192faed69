# ==== Where an agent stands: read from git, never stored ===========================================================

# Sets o_base, o_head, o_approved, o_asked, o_landed and o_discarded of the agent in use; empty where there is none.
_orchestra_read() {
	o_base=$(_orchestra_ref base)
	o_approved=$(_orchestra_ref approved)
	o_asked=$(_orchestra_ref changes-requested)
	o_landed=$(_orchestra_ref landed)
	o_discarded=$(_orchestra_ref discarded)
	o_head=$(_orchestra_tip "refs/heads/$o_branch") || o_head=
	_orchestra_read_verdict
}

# Sets o_work, the commit that is to land, and o_verdict. An approval is of one commit, the head or what the tool proposed
# for that head; at any other head it is stale.
_orchestra_read_verdict() {
	o_work=$o_head
	if [ -n "$o_approved" ] && [ "$o_approved" = "$(_orchestra_ref proposed)" ] &&
		[ "$(_orchestra_tip "$o_approved^1")" = "${o_head:-gone}" ]; then
		o_work=$o_approved
	fi
	o_verdict=none
	[ -z "$o_approved" ] || o_verdict=stale
	[ -z "$o_approved" ] || { [ "$o_approved" != "$o_work" ] && [ -z "$o_landed" ]; } || o_verdict=approved
	[ -z "$o_asked" ] || o_verdict=changes-requested
	[ -z "$o_discarded" ] || o_verdict=discarded
}

_orchestra_short() { command printf '%.10s\n' "$1"; }

# How many files of the worktree differ from its head or are new; nothing where there is no worktree.
_orchestra_uncommitted() (
	[ -e "$o_worktree/.git" ] || exit 0
	export GIT_OPTIONAL_LOCKS=0
	_orchestra_git -C "$o_worktree" status --porcelain=v1 -z --untracked-files=normal --no-renames |
		command tr '\n\000' '\001\n' | command wc -l | command tr -d ' '
)

# _orchestra_count FROM TO: commits that TO has and FROM lacks.
_orchestra_count() { _orchestra_git -C "$o_common" rev-list --count "$1..$2" -- 2>/dev/null || command echo '?'; }
