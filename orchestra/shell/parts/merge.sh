# ---- The blueprint's strategy is merge: a merge commit, with the branch as second parent

_orchestra_put_on_top() {
	o_detail='the target was rewritten and no longer holds the commit that the branch began at'
	[ -z "$o_rewritten" ] || return 1
	_orchestra_join || return 1
	[ "$o_merged" != "$o_here" ] || {
		_orchestra_done "$o_onto"
		return
	}
	_orchestra_clean_history
	_orchestra_compose_message command printf 'Merge %s: %s\n' "$o_agent" "$o_title"
	o_joined=$(_orchestra_write_commit "$o_head" "$o_merged" "$o_onto" "$o_second") || exit
	_orchestra_done "$o_joined"
}

# Sets o_second to the branch's tip, its history written anew from the first commit on that holds instruction files. The
# branch itself stays.
_orchestra_clean_history() {
	: >"$o_scratch/renamed"
	while read -r o_own o_parents; do
		o_after=$(_orchestra_strip "$o_own") || exit
		o_second=$(_orchestra_rewritten "$o_own" "$o_after" "$o_parents") || exit
		[ "$o_second" = "$o_own" ] || command printf 's/%s/%s/\n' "$o_own" "$o_second" >>"$o_scratch/renamed"
	done <"$o_scratch/span"
}

# _orchestra_rewritten COMMIT TREE PARENTS: the commit with that tree, on what its parents became; itself if that is all.
_orchestra_rewritten() {
	o_now=$(command printf '%s' "$3" | command sed -f "$o_scratch/renamed")
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
