# ---- The blueprint's strategy is merge: a merge commit, with the branch as second parent

# The branch's commits land as they are, so it counts where they leave ONTO, which may hold what they were begun on.
_orchestra_put_on_top() {
	o_branch_head=$o_head
	_orchestra_clean_history
	o_head=$o_second
	if _orchestra_merge_branch; then
		o_head=$o_branch_head
	else
		o_head=$o_branch_head
		return 1
	fi
}

_orchestra_merge_branch() {
	o_first=$(_orchestra_now "$o_base")
	_orchestra_list_span "$o_head" "$o_onto"
	[ -s "$o_scratch/span" ] || return 1
	o_fork=$(_orchestra_git -C "$o_common" merge-base "$o_onto" "$o_head") || return 1
	if command grep -q "^$o_first" "$o_scratch/span"; then
		_orchestra_merge_moved
		return
	fi
	_orchestra_entries "$o_fork" >"$o_scratch/kept" || exit 3
	_orchestra_join || return 1
	[ "$o_merged" != "$o_here" ] || {
		_orchestra_done "$o_onto"
		return
	}
	_orchestra_write_merge "$o_head" "$o_merged"
}

# ONTO does not hold what the branch was begun on: its own commits are moved there first, or merging would bring the
# others in as well.
_orchestra_merge_moved() {
	o_head=$o_branch_head
	o_fork=$o_base
	_orchestra_list_span "$o_head" "$o_tip" "$o_base"
	_orchestra_entries "$o_fork" >"$o_scratch/kept" || exit 3
	_orchestra_rebase || return 1
	_orchestra_write_merge "$o_built" "$(_orchestra_tree "$o_built")"
}

# _orchestra_write_merge COMMIT TREE: a merge of COMMIT into ONTO.
_orchestra_write_merge() {
	_orchestra_compose_message command printf 'Merge %s: %s\n' "$o_agent" "$o_title"
	o_joined=$(_orchestra_write_commit "$1" "$2" "$o_onto" "$1") || exit
	_orchestra_done "$o_joined"
}

# Sets o_second to the branch's tip, every commit that merging it would bring into the target written anew from the first
# on that holds instruction files. The branch itself stays.
_orchestra_clean_history() {
	: >"$o_scratch/renamed"
	o_second=$o_head
	_orchestra_list_span "$o_head" "$o_tip"
	o_fork=$(_orchestra_git -C "$o_common" merge-base "$o_tip" "$o_head") || o_fork=
	[ -n "$o_fork" ] || return 0
	_orchestra_entries "$o_fork" >"$o_scratch/kept" || exit 3
	while read -r o_own o_parents; do
		o_after=$(_orchestra_strip "$o_own") || exit
		o_second=$(_orchestra_rewritten "$o_own" "$o_after" "$o_parents") || exit
		[ "$o_second" = "$o_own" ] || command printf 's/%s/%s/\n' "$o_own" "$o_second" >>"$o_scratch/renamed"
	done <"$o_scratch/span"
}

# _orchestra_now COMMIT...: what they became.
_orchestra_now() { command printf '%s' "$1" | command sed -f "$o_scratch/renamed"; }

# _orchestra_rewritten COMMIT TREE PARENTS: the commit with that tree, on what its parents became; itself if that is all.
_orchestra_rewritten() {
	o_now=$(_orchestra_now "$3")
	if [ "$2" = "$(_orchestra_tree "$1")" ] && [ "$o_now" = "$3" ]; then
		command printf '%s\n' "$1"
		return
	fi
	_orchestra_git -C "$o_common" cat-file commit "$1" >"$o_scratch/own" || exit 3
	{
		command printf 'tree %s\n' "$2"
		for o_one in $o_now; do
			command printf 'parent %s\n' "$o_one"
		done
		command sed -n '/^$/q; /^author /p; /^committer /p; /^encoding /p' "$o_scratch/own"
		command printf '\n'
		command sed '1,/^$/d' "$o_scratch/own"
	} | _orchestra_git -C "$o_common" hash-object -t commit -w --stdin || exit 3
}
