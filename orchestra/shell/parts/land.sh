# ==== Landing ======================================================================================================
#
# In this order: the candidate gets a ref; the push, if any; a compare-and-swap of the target together with its checkout;
# the notes and the `landed` ref. After a kill the next merge derives from the refs what has landed.

# Lands o_built, the tested candidate of the agent in use; in a rehearsal the next agent is built on it.
_orchestra_land() {
	o_word='would land'
	if [ "$o_mode" = merge ]; then
		o_word=landed
		_orchestra_locked lock _orchestra_land_now 2>"$o_scratch/why" || { _orchestra_report_other "waiting: $(command paste -s -d ' ' "$o_scratch/why")" && return; }
		o_local=$o_built
		[ -z "$o_push" ] || o_remote_tip=$o_built
	fi
	o_tip=$o_built
	_orchestra_say "$o_agent: $o_word as $(_orchestra_short "$o_built")"
}

_orchestra_land_now() {
	o_tested=$o_head o_decided=$o_verdict
	_orchestra_read_agent
	[ "$o_head $o_verdict" = "$o_tested $o_decided" ] || _orchestra_fail 3 'its branch or its verdict has changed since it was tested'
	# With --yes, the approval is for exactly this commit.
	[ -n "$o_approved" ] || _orchestra_move "$o_ref/approved" '' "$o_head" 'finished and passed its gates' || exit
	_orchestra_move "$o_ref/candidate" "$(_orchestra_commit "$o_ref/candidate")" "$o_built" 'about to land' || exit
	[ -z "$o_push" ] || _orchestra_push
	_orchestra_swap "$o_built" "land $o_agent"
}

# A fast-forward with a lease. What it did is read from the remote, since an answer can be lost on the way.
_orchestra_push() {
	o_checkout=$(_orchestra_checkout "$o_target")
	[ -z "$o_checkout" ] || _orchestra_git -C "$o_checkout" read-tree -m -u -n "$o_local" "$o_built" ||
		_orchestra_fail 3 "$o_checkout has changes in the way of what lands: commit them, or git stash --include-untracked"
	# Your own pre-push hook runs, as in a push by hand: Git LFS uploads the content of files there.
	o_hooks=$(command git -C "$o_home" config --type=path --get core.hooksPath) || o_hooks=$o_common/hooks
	_orchestra_git -C "$o_home" -c core.hooksPath="$o_hooks" push --quiet --no-follow-tags --recurse-submodules=no \
		--force-with-lease="$o_target_ref:$o_remote_tip" "$o_remote" "$o_built:$o_target_ref" 2>"$o_scratch/pushed"
	o_remote_now=$(_orchestra_read_remote) || exit
	[ "$o_remote_now" != "$o_built" ] || return 0
	_orchestra_move "$o_ref/candidate" "$o_built" '' 'did not land'
	_orchestra_fail 3 "$o_remote declines the push to $o_target: $(_orchestra_printable <"$o_scratch/pushed" | command tail -n 1)"
}

# _orchestra_swap NEW REASON: a fast-forward in the checkout, which moves files, index and branch; else of the branch only.
# Then it marks what has landed, also what a killed merge did not.
_orchestra_swap() {
	_orchestra_check_repository # again: a gate may have changed it
	[ "$(_orchestra_commit "$o_target_ref")" = "$o_local" ] || _orchestra_fail 3 "$o_target has moved: run the merge again"
	o_checkout=$(_orchestra_checkout "$o_target")
	if [ -z "$o_checkout" ]; then
		_orchestra_move "$o_target_ref" "$o_local" "$1" "$2" || exit
	elif ! { _orchestra_sync && _orchestra_git -C "$o_checkout" merge --quiet --ff-only --no-overwrite-ignore --no-autostash "$1" >/dev/null && _orchestra_sync; }; then
		_orchestra_fail 3 "$o_checkout has changes in the way of what lands: commit them, or git stash --include-untracked"
	fi
	_orchestra_mark_landed "$1"
}

# _orchestra_mark_landed TIP: for every candidate that TIP contains: the notes are kept with the commit, then `landed`, then
# the candidate's ref goes. One of the two names the work at every moment.
_orchestra_mark_landed() {
	_orchestra_repo_git for-each-ref --merged="$1" --format='%(refname) %(objectname)' "$o_refs/*/candidate" >"$o_scratch/candidates"
	while read -r o_candidate_ref o_commit <&3; do
		o_name=${o_candidate_ref%/candidate}
		_orchestra_require_agent "${o_name##*/}"
		_orchestra_read_agent
		_orchestra_repo_git symbolic-ref --quiet refs/notes/orchestra >/dev/null || _orchestra_notes |
			_orchestra_repo_git -c user.name=orchestra -c user.email=orchestra@localhost notes --ref=refs/notes/orchestra add -f -F - "$o_commit"
		_orchestra_move "$o_ref/landed" "$o_landed" "$o_commit" landed && _orchestra_move "$o_candidate_ref" "$o_commit" '' landed || exit
	done 3<"$o_scratch/candidates"
}

# ---- Before every merge: the remote's commits, and what a kill cut off

# Sets o_tip, on which candidates are built, and o_remote_tip. A merge first moves the target to a remote that is ahead.
_orchestra_find_tip() {
	[ ! -e "$o_state/train/intent.json" ] || _orchestra_fail 3 'a merge of the tool was interrupted' 'orchestra merge'
	[ -z "$(_orchestra_repo_git ls-tree --full-tree "$o_local" -- .gitmodules)" ] ||
		_orchestra_fail 2 "$o_target has submodules, which the script cannot test" 'orchestra merge'
	! for o_one in "$o_common"/rebase-*/head-name "$o_common"/worktrees/*/rebase-*/head-name; do _orchestra_read_file "$o_one"; done |
		command grep -qxF -e "$o_target_ref" || _orchestra_fail 3 "$o_target is being rebased" 'finish or abort the rebase'
	o_tip=$o_local o_remote_tip=
	[ -z "$o_remote" ] || o_remote_tip=$(_orchestra_read_remote) || exit
	[ -n "$o_remote_tip" ] || [ -z "$o_push" ] || ! _orchestra_commit "refs/remotes/$o_remote/$o_target" >/dev/null ||
		_orchestra_fail 3 "$o_remote has no branch $o_target any more: it was renamed or deleted there" "name the new target in the blueprint"
	if [ -n "$o_remote_tip" ]; then
		_orchestra_git -C "$o_home" fetch --quiet --no-tags --no-recurse-submodules --no-write-fetch-head --end-of-options \
			"$o_remote" "+$o_target_ref:refs/remotes/$o_remote/$o_target" || _orchestra_fail 3 "cannot fetch from $o_remote"
		_orchestra_is_ancestor "$o_remote_tip" "$o_local" || o_tip=$o_remote_tip
		_orchestra_is_ancestor "$o_local" "$o_tip" || _orchestra_fail 3 "$o_target and $o_remote/$o_target have diverged" "git switch $o_target && git pull --no-rebase $o_remote $o_target"
	fi
	[ "$o_mode" = merge ] || return 0
	_orchestra_locked lock _orchestra_swap "$o_tip" "follow $o_remote" || exit
	o_local=$o_tip
}

# Prints the commit of the remote's branch; nothing if it has none.
_orchestra_read_remote() {
	_orchestra_git -C "$o_home" ls-remote --end-of-options "$o_remote" "$o_target_ref" >"$o_scratch/remote" ||
		_orchestra_fail 3 "cannot read the remote $o_remote" "git ls-remote $o_remote"
	_orchestra_awk '{ print $1 }' "$o_scratch/remote"
}
