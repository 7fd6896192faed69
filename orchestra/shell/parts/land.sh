# ==== Landing ======================================================================================================
#
# In this order: the candidate gets a ref; the push, if any; a compare-and-swap of the target together with its checkout;
# the notes and the `landed` ref. After a kill the next merge derives from the refs what has landed.

# Lands o_built, the tested candidate of the agent in use; in a rehearsal the next agent is built on it.
_orchestra_land() {
	o_word='would land'
	if [ "$o_mode" = merge ]; then
		o_word=landed
		: >"$o_scratch/why"
		_orchestra_locked _orchestra_land_now
		o_code=$?
		if [ "$o_code" -ne 0 ]; then
			o_why=$(command cat "$o_scratch/why")
			[ "$o_code" -eq 4 ] || o_stop=${o_why:-landing $o_agent failed}
			_orchestra_wait "${o_why:-landing failed}"
			return
		fi
		o_local=$o_built
		[ -z "$o_push" ] || o_remote_tip=$o_built
	fi
	o_tip=$o_built
	command printf '%s\n' "$o_agent: $o_word as $(_orchestra_short "$o_built")" | command tee -a "$o_scratch/landed" >&2
}

# _orchestra_refuse CODE REASON: 3: nothing more can land in this run; 4: this agent cannot.
_orchestra_refuse() {
	command printf '%s\n' "$2" >"$o_scratch/why"
	exit "$1"
}

_orchestra_land_now() {
	o_tested=$o_head
	_orchestra_read_agent
	[ "$o_work" = "$o_tested" ] || _orchestra_refuse 4 'it has commits since it was tested'
	[ "$o_verdict" = approved ] || [ "$o_verdict" = "$o_decided" ] || _orchestra_refuse 4 "its verdict changed to $o_verdict"
	# With --yes, the approval is for exactly this commit.
	[ "$o_review" != required ] || [ -n "$o_approved" ] ||
		_orchestra_move "$o_ref/approved" '' "$o_head" 'finished and passed its gates' || exit 3
	o_candidate=$(_orchestra_commit "$o_ref/candidate") || o_candidate=
	_orchestra_move "$o_ref/candidate" "$o_candidate" "$o_built" 'about to land' || exit 3
	_orchestra_require_free "$o_built"
	[ -z "$o_push" ] || _orchestra_push
	_orchestra_swap "$o_built" "land $o_agent"
	_orchestra_mark_landed "$o_built"
}

# _orchestra_require_free NEW: refuses if changes in a checkout of the target are in the way. git spares untracked files,
# but not ignored ones, so every new path is looked at.
_orchestra_require_free() {
	_orchestra_checkouts "$o_target" >"$o_scratch/checkouts"
	while IFS= read -r o_field <&5; do
		_orchestra_decode
		o_checkout=$o_path
		o_index=$(_orchestra_git -C "$o_checkout" rev-parse --path-format=absolute --git-path index 2>/dev/null) && [ -f "$o_index" ] || continue
		_orchestra_repo_git diff-tree -r -z --no-renames --name-only --diff-filter=A "$o_local" "$1" -- | _orchestra_lines >"$o_scratch/new"
		while IFS= read -r o_field <&3; do
			_orchestra_decode
			[ ! -f "$o_checkout/$o_path" ] && [ ! -L "$o_checkout/$o_path" ] || _orchestra_refuse 4 "$(_orchestra_say_in_way)"
		done 3<"$o_scratch/new"
		command cp -p -- "$o_index" "$o_scratch/index" && _orchestra_with_copy update-index -q --refresh >/dev/null
		o_path=$(_orchestra_with_copy read-tree -m -u -n "$o_local" "$1" 2>&1) || _orchestra_refuse 4 "$(_orchestra_say_in_way)"
	done 5<"$o_scratch/checkouts"
}

_orchestra_say_in_way() {
	_orchestra_say "$o_checkout has changes in the way of what lands (commit them, or git stash --include-untracked): $o_path" |
		_orchestra_printable | command tr '\n' ' '
}

_orchestra_with_copy() (
	export GIT_INDEX_FILE="$o_scratch/index"
	_orchestra_git -C "$o_checkout" "$@"
)

# _orchestra_swap NEW REASON: a fast-forward in the checkout, which moves files, index and branch; else of the branch only.
_orchestra_swap() {
	o_field=$(_orchestra_checkouts "$o_target" | command sed -n '1p')
	_orchestra_decode
	if [ -n "$o_path" ] && [ -d "$o_path" ]; then
		[ "$(_orchestra_commit "$o_target_ref")" = "$o_local" ] &&
			_orchestra_git -C "$o_path" merge --quiet --ff-only --no-overwrite-ignore --no-autostash "$1" >"$o_scratch/move" 2>&1
	else
		_orchestra_move "$o_target_ref" "$o_local" "$1" "$2"
	fi || _orchestra_refuse 3 "$o_target cannot move from $(_orchestra_short "$o_local"): $(command head -n 1 "$o_scratch/move"); run the merge again"
}

# A fast-forward with a lease. What it did is read from the remote, since an answer can be lost on the way.
_orchestra_push() {
	_orchestra_git -C "$o_home" push --quiet --no-follow-tags --recurse-submodules=no \
		--force-with-lease="$o_target_ref:$o_remote_tip" "$o_remote" "$o_built:$o_target_ref" 2>"$o_scratch/pushed"
	o_remote_now=$(_orchestra_read_remote) || exit 3
	[ "$o_remote_now" != "$o_built" ] || return 0
	_orchestra_move "$o_ref/candidate" "$o_built" '' 'did not land'
	[ "$o_remote_now" = "$o_remote_tip" ] || _orchestra_refuse 3 "$o_remote/$o_target moved to ${o_remote_now:-nothing}: run the merge again"
	_orchestra_refuse 3 "$o_remote declines the push to $o_target: $(_orchestra_printable <"$o_scratch/pushed" | command tail -n 1)"
}

# _orchestra_mark_landed TIP: for every candidate that TIP contains: the notes are kept with the commit, then `landed`, then
# the candidate's ref goes. One of the two names the work at every moment.
_orchestra_mark_landed() {
	_orchestra_repo_git for-each-ref --format='%(refname) %(objectname)' "$o_refs/*/candidate" >"$o_scratch/candidates"
	while read -r o_candidate_ref o_commit <&6; do
		_orchestra_is_ancestor "$o_commit" "$1" || continue
		o_name=${o_candidate_ref%/candidate}
		_orchestra_require_agent "${o_name##*/}"
		_orchestra_read_agent
		_orchestra_notes >"$o_scratch/notes"
		[ ! -s "$o_scratch/notes" ] || _orchestra_add_note "$o_commit"
		[ "$o_landed" = "$o_commit" ] || _orchestra_move "$o_ref/landed" "$o_landed" "$o_commit" landed || exit 3
		_orchestra_move "$o_candidate_ref" "$o_commit" '' landed || exit 3
	done 6<"$o_scratch/candidates"
}

_orchestra_add_note() (
	! _orchestra_repo_git symbolic-ref --quiet refs/notes/orchestra >/dev/null || exit 0
	_orchestra_repo_git var GIT_COMMITTER_IDENT >/dev/null 2>&1 ||
		export GIT_AUTHOR_NAME=orchestra GIT_AUTHOR_EMAIL=orchestra GIT_COMMITTER_NAME=orchestra GIT_COMMITTER_EMAIL=orchestra
	_orchestra_repo_git notes --ref=refs/notes/orchestra add -f -F - "$1" <"$o_scratch/notes" 2>/dev/null
)

# ---- Before every merge: the remote's commits, and what a kill cut off

# Sets o_tip, on which candidates are built, and o_remote_tip. A merge first moves the target to a remote that is ahead.
_orchestra_find_tip() {
	[ ! -e "$o_state/train/intent.json" ] || _orchestra_fail 3 'a merge of the tool was interrupted' 'orchestra merge'
	[ -z "$(_orchestra_repo_git ls-tree --full-tree "$o_local" -- .gitmodules)" ] ||
		_orchestra_fail 2 "$o_target has submodules, which the script cannot test" 'orchestra merge'
	for o_folder in "$o_common" "$o_common"/worktrees/*; do
		o_busy=$(command cat -- "$o_folder/rebase-merge/head-name" "$o_folder/rebase-apply/head-name" "$o_folder/BISECT_START" 2>/dev/null)
		[ ! -e "$o_folder/MERGE_HEAD" ] && [ ! -e "$o_folder/CHERRY_PICK_HEAD" ] && [ ! -e "$o_folder/REVERT_HEAD" ] ||
			o_busy=$(command sed 's/^ref: //' "$o_folder/HEAD")
		[ "${o_busy#refs/heads/}" != "$o_target" ] ||
			_orchestra_fail 3 "$o_target is in the middle of a merge, a rebase or the like: see $o_folder" "finish or abort it there"
	done
	o_tip=$o_local
	o_remote_tip=
	[ -z "$o_remote" ] || o_remote_tip=$(_orchestra_read_remote) || exit 3
	if [ -n "$o_remote_tip" ]; then
		_orchestra_git -C "$o_home" fetch --quiet --no-tags --no-recurse-submodules --no-write-fetch-head --end-of-options \
			"$o_remote" "+$o_target_ref:refs/remotes/$o_remote/$o_target" || _orchestra_fail 3 "cannot fetch from $o_remote"
		_orchestra_is_ancestor "$o_remote_tip" "$o_local" || o_tip=$o_remote_tip
		_orchestra_is_ancestor "$o_local" "$o_tip" || _orchestra_fail 3 "$o_target and $o_remote/$o_target have diverged" \
			"git switch $o_target && git pull --rebase $o_remote $o_target"
	fi
	[ "$o_mode" = merge ] || return 0
	_orchestra_locked _orchestra_catch_up || { _orchestra_warn "error: $(command cat "$o_scratch/why")" && exit 3; }
	o_local=$o_tip
}

_orchestra_catch_up() {
	[ "$o_tip" = "$o_local" ] || { _orchestra_require_free "$o_tip" && _orchestra_swap "$o_tip" "follow $o_remote"; }
	_orchestra_mark_landed "$o_tip"
}

# Prints the commit of the remote's branch; nothing if it has none.
_orchestra_read_remote() {
	_orchestra_git -C "$o_home" ls-remote --end-of-options "$o_remote" "$o_target_ref" >"$o_scratch/remote" ||
		_orchestra_fail 3 "cannot read the remote $o_remote" "git ls-remote $o_remote"
	_orchestra_awk '{ print $1 }' "$o_scratch/remote"
}
