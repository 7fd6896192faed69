# ---- The blueprint's strategy is squash: one commit for each agent

_orchestra_put_on_top() {
	o_detail='conflict: it stands on commits that the target lacks: use orchestra merge'
	_orchestra_is_ancestor "$o_base" "$o_built" || return 1
	_orchestra_apply 'the branch' merge --squash --no-commit "$o_head" || return 1
	command sed 's/ .*//' "$o_scratch/commits" >"$o_scratch/squashed"
	o_commit=$(command sed -n '$p' "$o_scratch/squashed")
	if [ "$(($(command wc -l <"$o_scratch/squashed")))" -eq 1 ]; then
		_orchestra_keep_message "$o_commit"
	else
		o_encoded=
		_orchestra_message_of_all >"$o_scratch/message"
	fi
	_orchestra_advance "$o_commit" "$o_built"
	_orchestra_check_out
}

_orchestra_message_of_all() {
	command printf '%s\n\n' "$o_title"
	while read -r o_one; do
		command printf '* %s\n' "$(_orchestra_subject "$o_one")"
	done <"$o_scratch/squashed"
	command printf '\n'
	while read -r o_one; do
		_orchestra_repo_git cat-file commit "$o_one" | command sed -n '/^$/q; s/^author \(.*>\) .*/\1/p'
	done <"$o_scratch/squashed" | _orchestra_awk '{ author[NR] = $0 }
		END { for (n = 1; n <= NR; n++) if (author[n] != author[NR] && !seen[author[n]]++) print "Co-authored-by: " author[n] }'
}
