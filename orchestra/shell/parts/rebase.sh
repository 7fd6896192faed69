# ---- The blueprint's strategy is rebase: each commit of the branch

# Leaving merges out may lose what they resolved: then the tree of one merge of the whole branch decides.
_orchestra_put_on_top() {
	if [ -z "$o_merges" ]; then
		_orchestra_replay
		return
	fi
	_orchestra_replay || o_built=
	o_replayed=$o_built
	_orchestra_squash || return 1
	[ -z "$o_replayed" ] || [ "$(_orchestra_tree "$o_replayed")" != "$(_orchestra_tree "$o_built")" ] || o_built=$o_replayed
}
