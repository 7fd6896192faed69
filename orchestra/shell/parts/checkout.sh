# ==== Checkouts of the target: brought along where nothing can be lost =============================================

# A checkout that is in the middle of something with the target cannot be followed by anybody: refused first.
_orchestra_require_quiet() {
	_orchestra_git -C "$o_common" worktree list --porcelain -z | command tr '\n\000' '\001\n' |
		command sed -n 's/^worktree //p' >"$o_scratch/worktrees"
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		o_git_dir=$(_orchestra_git -C "$o_path" rev-parse --absolute-git-dir 2>/dev/null) || continue
		for o_half in rebase-merge rebase-apply MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG; do
			[ ! -e "$o_git_dir/$o_half" ] || _orchestra_refuse_if_target
		done
	done 3<"$o_scratch/worktrees"
}

_orchestra_refuse_if_target() {
	o_on=$(_orchestra_git -C "$o_path" symbolic-ref --quiet HEAD) || o_on=$(command cat -- "$o_git_dir/rebase-merge/head-name" \
		"$o_git_dir/rebase-apply/head-name" "$o_git_dir/BISECT_START" 2>/dev/null)
	case "$o_on" in
	"$o_target" | "$o_target_ref") _orchestra_fail 3 "$o_target is in the middle of something ($o_half) in $o_path" \
		"finish or abort it there" ;;
	esac
}

# _orchestra_can_follow FOLDER OLD NEW: a dry run that changes nothing; what is in the way goes to $o_scratch/in-the-way.
_orchestra_can_follow() {
	: >"$o_scratch/in-the-way"
	_orchestra_added_in_the_way "$@"
	_orchestra_copy_index "$1" || return 1
	_orchestra_with_copy "$1" read-tree -m -u -n "$2" "$3" 2>>"$o_scratch/in-the-way"
	command rm -f -- "$o_copy_of_index"
	[ ! -s "$o_scratch/in-the-way" ]
}

# git spares untracked files, but not ignored ones: whatever is where a new file would be is in the way.
_orchestra_added_in_the_way() {
	_orchestra_delta "$2" "$3" A >"$o_scratch/added"
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		[ ! -f "$1/$o_path" ] && [ ! -L "$1/$o_path" ] || _orchestra_say "$o_path" >>"$o_scratch/in-the-way"
		o_parent=$o_path
		while [ "$o_parent" != "${o_parent%/*}" ]; do
			o_parent=${o_parent%/*}
			if { [ -f "$1/$o_parent" ] || [ -L "$1/$o_parent" ]; } &&
				! _orchestra_git -C "$o_common" cat-file -e "$2:$o_parent" 2>/dev/null; then
				_orchestra_say "$o_parent" >>"$o_scratch/in-the-way"
			fi
		done
	done 3<"$o_scratch/added"
}

# _orchestra_delta OLD NEW KINDS: the paths that differ, of these kinds (A, D, M, T), one a line.
_orchestra_delta() {
	_orchestra_git -C "$o_common" diff-tree -r -z --no-renames --name-only --diff-filter="$3" "$1" "$2" -- |
		command tr '\n\000' '\001\n'
}

# Sets o_index, o_copy_of_index and o_delta_of: a copy of the checkout's index, its stat data fresh.
_orchestra_copy_index() {
	o_index=$(_orchestra_git -C "$1" rev-parse --path-format=absolute --git-path index) && [ -f "$o_index" ] || return 1
	o_copy_of_index=${o_index%index}orchestra-index
	command rm -f -- "$o_copy_of_index.lock"
	command cp -p -- "$o_index" "$o_copy_of_index" || return 1
	_orchestra_with_copy "$1" update-index -q --refresh
	return 0
}

# _orchestra_with_copy FOLDER ARGUMENT...: git there, on the copy of its index.
_orchestra_with_copy() (
	export GIT_INDEX_FILE="$o_copy_of_index"
	cd_to=$1
	shift
	_orchestra_git -C "$cd_to" "$@"
)

# _orchestra_follow FOLDER OLD NEW: moves the files and the index of a checkout whose branch is at NEW already. git's own
# lock of the index is held meanwhile, with a note of ours in it: after a kill the next run knows whose it is, and ends
# what was begun.
_orchestra_follow() {
	o_resume=
	_orchestra_copy_index "$1" || return 0
	o_index_lock=$o_index.lock
	if [ "$(command cat -- "$o_index_lock" 2>/dev/null)" = 'orchestra brings this checkout along' ]; then
		o_resume=1
	elif ! (set -C && command echo 'orchestra brings this checkout along' >"$o_index_lock") 2>/dev/null; then
		_orchestra_tell "$1 still shows $(_orchestra_short "$2"): another git works there (git -C $1 status)"
		return 0
	fi
	if _orchestra_is_behind "$1" "$2" "$3"; then
		if [ -n "$o_resume" ] || ! _orchestra_with_copy "$1" read-tree -m -u "$2" "$3" 2>/dev/null; then
			_orchestra_finish_following "$1" "$2" "$3"
		fi
		command mv -f -- "$o_copy_of_index" "$o_index"
	fi
	command rm -f -- "$o_copy_of_index" "$o_index_lock"
}

# Whether the index still lacks the new side of any path of the move.
_orchestra_is_behind() {
	_orchestra_delta "$2" "$3" ADMT | LC_ALL=C command sort >"$o_scratch/moving"
	_orchestra_with_copy "$1" diff-index --cached -z --no-renames --name-only "$3" -- | command tr '\n\000' '\001\n' |
		LC_ALL=C command sort | LC_ALL=C command comm -12 - "$o_scratch/moving" >"$o_scratch/left"
	[ -s "$o_scratch/left" ]
}

# After a kill in the middle of a move, or when something came in its way: what can have come from the old checkout or
# from our unfinished move is made new; anything else is yours, stays as it is, and is named.
_orchestra_finish_following() {
	: >"$o_scratch/ours"
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		if _orchestra_is_ours "$@"; then
			command printf '%s\n' "$o_field" >>"$o_scratch/ours"
		else
			_orchestra_tell "$1: $o_path holds your own changes and was left as it is"
		fi
	done 3<"$o_scratch/moving"
	_orchestra_with_copy "$1" read-tree -i -m "$2" "$3" || exit 3
	: >"$o_scratch/written"
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		if _orchestra_git -C "$o_common" cat-file -e "$3:$o_path" 2>/dev/null; then
			command printf '%s\n' "$o_field" >>"$o_scratch/written"
		else
			_orchestra_remove_moved "$1"
		fi
	done 3<"$o_scratch/ours"
	command tr '\001\n' '\n\000' <"$o_scratch/written" | _orchestra_with_copy "$1" checkout-index -f -u -z --stdin || exit 3
}

_orchestra_remove_moved() {
	command rm -f -- "$1/$o_path"
	o_parent=$o_path
	while [ "$o_parent" != "${o_parent%/*}" ]; do
		o_parent=${o_parent%/*}
		command rmdir -- "$1/$o_parent" 2>/dev/null || return 0
	done
}

# _orchestra_is_ours FOLDER OLD NEW: whether the file holds the old content, the new, its beginning (a write cut short), or
# is not there.
_orchestra_is_ours() {
	o_there=$1/$o_path
	_orchestra_exists "$o_there" || return 0
	o_new_id=$(_orchestra_git -C "$o_common" rev-parse --verify --quiet "$3:$o_path") || o_new_id=
	if [ -L "$o_there" ]; then
		o_there_id=$(command printf '%s' "$(command readlink "$o_there")" | _orchestra_git -C "$o_common" hash-object --stdin)
	elif [ -f "$o_there" ]; then
		o_there_id=$(_orchestra_git -C "$1" hash-object --path "$o_path" -- "$o_there")
	else
		return 0 # a folder: a submodule, which git never writes into here, or one that git will not replace
	fi
	[ "$o_there_id" != "$o_new_id" ] || return 0
	[ "$o_there_id" != "$(_orchestra_git -C "$o_common" rev-parse --verify --quiet "$2:$o_path")" ] || return 0
	[ -n "$o_new_id" ] && [ ! -L "$o_there" ] || return 1
	_orchestra_git -C "$1" cat-file --filters "$3:$o_path" 2>/dev/null |
		command head -c "$(($(command wc -c <"$o_there")))" | command cmp -s - "$o_there"
}
