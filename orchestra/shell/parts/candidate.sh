# ==== Candidates: the commits that put an agent's work on top of the target ========================================
#
# Each commit of the branch is picked in a scratch worktree, and becomes the same commit that the tool builds. Instruction
# files are kept out of every commit; a commit that changes nothing is left out.

# _orchestra_build ONTO: sets o_built. If there is no candidate it fails, with o_detail.
_orchestra_build() {
	_orchestra_locked lock _orchestra_add_scratch "$1" || _orchestra_fail 3 "cannot make the scratch worktree $o_place"
	o_built=$1 o_changed=$o_head o_detail='empty: every commit of the branch is already in the target'
	_orchestra_repo_git rev-list --reverse --topo-order "$o_head" --not "$o_tip" "$o_base" -- >"$o_scratch/commits" || exit 3
	[ -s "$o_scratch/commits" ] || return 1
	o_detail='conflict: the branch shares no history with the target (git fetch --unshallow, if shallow)'
	o_fork=$(_orchestra_repo_git merge-base "$o_tip" "$o_head") || return 1
	o_detail='conflict: the branch changes .gitattributes, which decide about merges: use orchestra merge'
	[ -z "$(_orchestra_changed ':(top,glob)**/.gitattributes')" ] || return 1
	o_detail='conflict: the branch holds merge commits: use orchestra merge'
	[ -z "$(_orchestra_repo_git rev-list --merges -n 1 "$o_head" --not "$o_tip" "$o_base" --)" ] || return 1
	while read -r o_commit; do
		o_detail="conflict: git cannot apply $(_orchestra_short "$o_commit"); try it with orchestra merge"
		_orchestra_pick || return 1
	done <"$o_scratch/commits"
	o_detail='empty: the branch changes nothing that the target does not have'
	[ "$o_built" != "$1" ]
}

_orchestra_in_scratch() {
	_orchestra_git -C "$o_place" -c core.sparseCheckout=false -c merge.renames=true -c merge.directoryRenames=conflict \
		-c merge.renormalize=false -c merge.renameLimit=7000 -c diff.renameLimit=7000 "$@" </dev/null
}

# Puts o_commit on top of o_built, with the instruction files of the target.
_orchestra_pick() {
	_orchestra_in_scratch cherry-pick --no-commit "$o_commit" >"$o_scratch/applied" 2>&1 || [ $? -eq 1 ] || return # a path that is too long, say
	_orchestra_kept_out _orchestra_in_scratch --literal-pathspecs reset --quiet HEAD -- >/dev/null
	if ! o_merged=$(_orchestra_in_scratch write-tree 2>/dev/null); then
		o_detail=$(_orchestra_in_scratch diff --name-only -z --diff-filter=U 2>/dev/null | _orchestra_lines | _orchestra_first_three)
		o_detail="conflict: commit $(_orchestra_short "$o_commit") conflicts with the target in $o_detail; orchestra merge may resolve it"
		return 1
	fi
	[ "$o_merged" = "$(_orchestra_tree "$o_built")" ] || _orchestra_advance
	{ _orchestra_in_scratch update-ref --no-deref HEAD "$o_built" && _orchestra_in_scratch read-tree --reset -u "$o_built" &&
		_orchestra_in_scratch clean -ffdxq; } || _orchestra_fail 3 "$o_place cannot hold $(_orchestra_short "$o_built")"
}

# Filters standard input: the first three different lines as one.
_orchestra_first_three() { command sort -u | _orchestra_printable | command head -n 3 | command paste -s -d ' ' -; }

# Commits o_merged, with author, dates and message of o_commit, and trailers that name agent and fleet. You are its
# committer; it is never older than its parent.
_orchestra_advance() {
	_orchestra_repo_git cat-file commit "$o_commit" >"$o_scratch/commit" || exit 3
	command sed '/^$/q' "$o_scratch/commit" >"$o_scratch/original"
	command sed '1,/^$/d' "$o_scratch/commit" | _orchestra_add_trailers >"$o_scratch/message" || exit 3
	o_committer=$(command sed -n 's/^committer //p' "$o_scratch/original")
	o_when=${o_committer##*> } o_seconds=$(_orchestra_repo_git log -1 --format=%ct "$o_built" --)
	[ "${o_when% *}" -le "$o_seconds" ] || o_seconds=${o_when% *}
	! o_you=$(_orchestra_repo_git var GIT_COMMITTER_IDENT 2>/dev/null) || o_committer=$o_you
	o_built=$({
		command printf 'tree %s\nparent %s\n' "$o_merged" "$o_built"
		command grep '^author ' "$o_scratch/original"
		command printf 'committer %s> %s %s\n' "${o_committer%> *}" "$o_seconds" "${o_when##* }"
		command grep '^encoding ' "$o_scratch/original"
		command printf '\n' && command cat "$o_scratch/message"
	} | _orchestra_repo_git hash-object -t commit -w --stdin) || exit 3
}

# Without your configuration, in which trailers can run commands; and no line of a message is taken for a comment.
_orchestra_add_trailers() (
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
	_orchestra_awk '{ text = text $0 "\n" } END { sub(/[ \t\r\n\v\f]+$/, "", text); if (text != "") print text }' |
		_orchestra_git -C "$o_scratch" -c core.commentChar="$(command printf '\001')" interpret-trailers --no-divider --if-exists replace \
			--trailer "Orchestra-Agent: $o_agent" --trailer "Orchestra-Fleet: $o_fleet"
)
