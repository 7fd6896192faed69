# ---- The blueprint's strategy is merge: a merge commit, with the branch as second parent

# The branch lands as it is, so its history may hold no instruction files and no work of another agent.
_orchestra_put_on_top() {
	o_detail='conflict: it stands on commits that the target lacks: use orchestra merge'
	_orchestra_is_ancestor "$o_base" "$o_built" || return 1
	o_detail='conflict: its history holds instruction files: use orchestra merge'
	[ -z "$(_orchestra_kept_out _orchestra_repo_git --literal-pathspecs log --format=%h "$o_head" --not "$o_tip" --)" ] || return 1
	_orchestra_apply 'the branch' merge --no-ff --no-commit "$o_head" || return 1
	o_encoded=
	command printf 'Merge %s: %s\n' "$o_agent" "$o_title" >"$o_scratch/message"
	_orchestra_advance "$o_head" "$o_built" "$o_head"
	_orchestra_in_scratch merge --quit
	_orchestra_check_out
}
