# ==== Candidates: the commit that the target becomes with an agent's work ==========================================
#
# Built in a scratch worktree, and the same commit that the tool builds. Instruction files are kept out of every commit.

# _orchestra_build ONTO: sets o_built. If there is no candidate it fails, with o_detail.
_orchestra_build() {
	_orchestra_locked _orchestra_add_scratch "$1" || _orchestra_fail 3 "cannot make the scratch worktree"
	_orchestra_find_scratch
	o_built=$1
	o_detail='empty: every commit of the branch is already in the target'
	_orchestra_repo_git rev-list --reverse --topo-order --parents "$o_head" --not "$o_tip" "$o_base" -- >"$o_scratch/commits" || exit 3
	[ -s "$o_scratch/commits" ] || return 1
	o_detail='conflict: the branch shares no history with the target (git fetch --unshallow, if shallow)'
	o_fork=$(_orchestra_repo_git merge-base "$o_tip" "$o_head") || return 1
	o_detail='conflict: the branch changes .gitattributes, which decide about merges: use orchestra merge'
	[ -z "$(_orchestra_changed ':(top,glob)**/.gitattributes')" ] || return 1
	o_detail='conflict: the branch holds merge commits: use orchestra merge'
	! command grep -q ' .* ' "$o_scratch/commits" || return 1
	_orchestra_put_on_top || return 1
	o_detail='empty: the branch changes nothing that the target does not have'
	[ "$o_built" != "$1" ]
}

_orchestra_in_scratch() {
	_orchestra_git -C "$o_place" -c core.sparseCheckout=false -c merge.renames=true -c merge.directoryRenames=conflict \
		-c merge.renormalize=false -c merge.renameLimit=7000 -c diff.renameLimit=7000 "$@" </dev/null
}

# _orchestra_apply WHAT COMMAND...: runs a git command that merges into the scratch worktree without a commit. Sets o_merged
# to the tree, with the instruction files of the target.
_orchestra_apply() {
	o_applied=$1
	shift
	_orchestra_in_scratch "$@" >"$o_scratch/applied" 2>&1 || [ $? -eq 1 ] || _orchestra_fail 3 "git $1 failed: $(command cat "$o_scratch/applied")"
	_orchestra_kept_out _orchestra_in_scratch --literal-pathspecs reset --quiet HEAD -- >/dev/null
	o_merged=$(_orchestra_in_scratch write-tree 2>/dev/null) && return
	o_detail=$(_orchestra_in_scratch diff --name-only -z --diff-filter=U 2>/dev/null | _orchestra_lines | command sort -u | _orchestra_printable |
		_orchestra_awk 'NR <= 3 { text = text (NR > 1 ? ", " : "") $0 } END { print text (NR > 3 ? " and " NR - 3 " more" : "") }')
	o_detail="conflict: $o_applied conflicts with the target in $o_detail; orchestra merge may resolve it"
	return 1
}

# _orchestra_advance LIKE PARENT...: commits o_merged, with author and dates of LIKE, the message in $o_scratch/message and
# trailers that name agent and fleet. You are its committer; it is never older than its parent.
_orchestra_advance() {
	[ "$o_merged" != "$(_orchestra_tree "$o_built")" ] || return 0
	_orchestra_repo_git cat-file commit "$1" | command sed '/^$/q' >"$o_scratch/like" || exit 3
	_orchestra_add_trailers <"$o_scratch/message" >"$o_scratch/trailed" || exit 3
	o_committer=$(command sed -n 's/^committer //p' "$o_scratch/like")
	o_when=${o_committer##*> }
	o_seconds=$(_orchestra_repo_git log -1 --format=%ct "$o_built" --)
	[ "${o_when% *}" -le "$o_seconds" ] || o_seconds=${o_when% *}
	! o_you=$(_orchestra_repo_git var GIT_COMMITTER_IDENT 2>/dev/null) || o_committer=$o_you
	shift
	o_built=$({
		command printf 'tree %s\n' "$o_merged"
		command printf 'parent %s\n' "$@"
		command grep '^author ' "$o_scratch/like"
		command printf 'committer %s> %s %s\n' "${o_committer%> *}" "$o_seconds" "${o_when##* }"
		[ -z "$o_encoded" ] || command grep '^encoding ' "$o_scratch/like"
		command printf '\n'
		command cat "$o_scratch/trailed"
	} | _orchestra_repo_git hash-object -t commit -w --stdin) || exit 3
}

# Makes the files of the scratch worktree those of o_built.
_orchestra_check_out() {
	{ _orchestra_in_scratch update-ref --no-deref HEAD "$o_built" && _orchestra_in_scratch read-tree --reset -u "$o_built" &&
		_orchestra_in_scratch clean -ffdxq; } || _orchestra_fail 3 "$o_place cannot hold $(_orchestra_short "$o_built")"
}

_orchestra_keep_message() {
	o_encoded=1
	_orchestra_repo_git cat-file commit "$1" | command sed '1,/^$/d' >"$o_scratch/message"
}

_orchestra_subject() {
	_orchestra_repo_git log -1 --encoding=UTF-8 --format=%B --end-of-options "$1" -- | command sed -n '/./ { p; q; }'
}

# Without your configuration, in which trailers can run commands; and no line of a message is taken for a comment.
_orchestra_add_trailers() (
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
	_orchestra_awk '{ text = text $0 "\n" } END { sub(/[ \t\r\n\v\f]+$/, "", text); if (text != "") print text }' |
		_orchestra_git -C "$o_scratch" -c core.commentChar="$(command printf '\001')" interpret-trailers --no-divider --if-exists replace \
			--trailer "Orchestra-Agent: $o_agent" --trailer "Orchestra-Fleet: $o_fleet"
)
