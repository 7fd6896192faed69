# ==== Worktrees that appear whole or not at all ====================================================================
#
# A worktree is registered and filled beside its place, in .orchestra-new, and renamed into it: the rename is the moment
# at which it appears. It is locked with a reason that says what it is for, so that no prune takes it.

# Sets o_place, the path of the agent's worktree without links, o_staged, where it is while it is being made, and o_reason,
# why it is locked.
_orchestra_find_places() { _orchestra_find_place "$o_worktree" "orchestra: $o_fleet/$o_agent"; }

_orchestra_find_place() {
	o_real_root=$(_orchestra_real "$o_root" && command printf .)
	o_real_root=${o_real_root%"$o_newline".}
	o_above=$(_orchestra_real "${1%/*}" && command printf .)
	o_above=${o_above%"$o_newline".}
	o_place=$o_above/${1##*/}
	o_staged=$o_above/.orchestra-new/${1##*/}
	o_reason=$2
}

# _orchestra_make_worktree BRANCH, or --detach COMMIT: registers it at o_staged, without files; sets o_admin, the folder
# that git keeps for it.
_orchestra_make_worktree() {
	command mkdir -p -- "${o_staged%/*}" || exit 3
	_orchestra_clear_leftovers
	if [ "$1" = --detach ]; then
		set -- --detach "$o_staged" "$2"
	else
		set -- "$o_staged" "$1"
	fi
	_orchestra_git -C "$o_common" -c worktree.useRelativePaths=false worktree add --quiet --no-checkout --lock \
		--reason "$o_reason" "$@" || exit 3
	o_admin=$(_orchestra_git -C "$o_staged" rev-parse --absolute-git-dir) || exit 3
}

_orchestra_appear() {
	_orchestra_point "$o_admin" "$o_place"
	command mv -- "$o_staged" "$o_place" || exit 3
	command rmdir -- "${o_staged%/*}" 2>/dev/null || command :
}

# What a killed run left was never seen at its place, so it holds no work.
_orchestra_clear_leftovers() {
	_orchestra_find_admin "$o_staged"
	[ -z "$o_admin" ] || _orchestra_take_back "$o_admin" "$o_staged"
	command rm -rf -- "$o_staged"
	_orchestra_find_admin "$o_place"
	[ -z "$o_admin" ] || _orchestra_take_back "$o_admin" "$o_place"
	for o_one in "$o_common"/worktrees/*; do # git cannot see what it had not finished to register
		[ -e "$o_one/gitdir" ] || [ "$(command cat -- "$o_one/locked" 2>/dev/null)" != "$o_reason" ] ||
			command rm -rf -- "$o_one"
	done
}

# _orchestra_take_back ADMIN FOLDER: has git forget a registration of ours; FOLDER is not there any more.
_orchestra_take_back() {
	o_locked=$(command cat -- "$1/locked" 2>/dev/null) || o_locked=$o_reason
	[ "$o_locked" = "$o_reason" ] || _orchestra_fail 3 "git keeps $2 for a worktree that is not there: $o_locked" \
		"git worktree unlock $2 && git worktree remove $2"
	command rm -rf -- "$o_staged"
	_orchestra_point "$1" "$o_staged"
	[ ! -e "$1/locked" ] || _orchestra_git -C "$o_common" worktree unlock "$o_staged" || exit 3
	_orchestra_git -C "$o_common" worktree remove "$o_staged" || exit 3
}
