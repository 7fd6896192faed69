# ---- The blueprint's strategy is rebase: each commit of the branch; one that changes nothing is left out

_orchestra_put_on_top() {
	while read -r o_commit o_parent; do
		_orchestra_apply "commit $(_orchestra_short "$o_commit") ($(_orchestra_subject "$o_commit" | _orchestra_printable))" \
			cherry-pick --no-commit "$o_commit" || return 1
		_orchestra_keep_message "$o_commit"
		_orchestra_advance "$o_commit" "$o_built"
		_orchestra_check_out
	done <"$o_scratch/commits"
}
