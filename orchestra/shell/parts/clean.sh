# ==== Clean: takes back the places of agents whose work landed or was discarded ====================================
#
# Promises: nothing goes that no ref of ours holds. Uncommitted work is saved under saved/N first; ignored files that
# somebody made are kept beside the refs; a branch goes only while a verdict holds its tip. Whoever cannot go stays, with
# the reason.

_orchestra_clean() {
	if [ -n "$o_dry" ]; then
		_orchestra_clean_all
	else
		_orchestra_locked _orchestra_clean_all
	fi
}

_orchestra_clean_all() {
	_orchestra_agents _orchestra_clean_one
	_orchestra_agents _orchestra_remove_folder
	! _orchestra_may_remove_root || _orchestra_do "rmdir $o_root" _orchestra_remove_root
}

# Runs in a subshell, so that one who stays does not end the others.
_orchestra_clean_one() (
	_orchestra_use "$@"
	_orchestra_read
	[ -n "$o_base" ] && [ -n "$o_landed$o_discarded" ] || exit 0
	_orchestra_find_places
	o_retired=${o_place%/*}/.orchestra-old/${o_place##*/}
	_orchestra_settle_removal
	_orchestra_stay_if_later_commits
	if [ -e "$o_place/.git" ]; then
		_orchestra_stay_if_in_use "$o_place"
		_orchestra_do "save what is not committed in $o_place" _orchestra_save_work "$o_place"
		_orchestra_do "run the teardown of $o_agent" _orchestra_tear_down
		_orchestra_do "git worktree remove $o_place" _orchestra_remove_worktree
	fi
	[ -z "$o_head" ] || _orchestra_do "git branch -d $o_branch" \
		_orchestra_move "refs/heads/$o_branch" "$o_head" '' "clean $o_fleet/$o_agent" || exit
	_orchestra_do "forget the rendered files and the set-up of $o_agent" _orchestra_forget_agent
)

_orchestra_stay() {
	_orchestra_tell "$o_agent stays: $*"
	exit 0
}

_orchestra_stay_if_later_commits() {
	for o_held in "$o_approved" "$o_discarded" "$o_landed" "$o_base"; do
		[ -z "$o_held" ] || [ -z "$o_head" ] || ! _orchestra_is_ancestor "$o_head" "$o_held" || o_head_held=1
	done
	[ -z "$o_head" ] || [ -n "${o_head_held-}" ] ||
		_orchestra_stay "$o_branch has commits made after the verdict; its tip is $(_orchestra_short "$o_head")"
	o_elsewhere=$(_orchestra_checkouts "$o_branch" | command grep -vxF -e "$o_place") || return 0
	_orchestra_stay "$o_branch is checked out at $o_elsewhere"
}

_orchestra_stay_if_in_use() {
	_orchestra_find_admin "$o_place"
	o_locked=$(command cat -- "$o_admin/locked" 2>/dev/null) || o_locked=$o_reason
	[ -n "$o_admin" ] || _orchestra_stay "$1 is no worktree of this repository"
	[ "$o_locked" = "$o_reason" ] || _orchestra_stay "$1 is locked: $o_locked"
	for o_process in /proc/[0-9]*; do # only where the system tells
		case "$(command readlink "$o_process/cwd" 2>/dev/null)/" in
		"$1"/*) _orchestra_stay "$1 is in use by process ${o_process#/proc/}" ;;
		esac
	done
	for o_half in rebase-merge rebase-apply MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG; do
		[ ! -e "$o_admin/$o_half" ] || _orchestra_stay "$1 is in the middle of something ($o_half): finish or abort it"
	done
}

# ---- Work that no ref holds becomes a commit: files as they are, and what was staged where that is something else

# _orchestra_save_work FOLDER: sets o_snapshot, the tree of all that is there.
_orchestra_save_work() {
	_orchestra_take_snapshot "$1"
	o_here=$(_orchestra_git -C "$1" rev-parse --verify --quiet 'HEAD^{commit}') || _orchestra_stay "$1 has no commit"
	o_here_tree=$(_orchestra_tree "$o_here")
	if [ "$o_snapshot" = "$o_here_tree" ] && [ "$o_staged_tree" = "$o_here_tree" ]; then
		_orchestra_git -C "$1" symbolic-ref --quiet HEAD >/dev/null || _orchestra_save "$o_here"
		return
	fi
	set -- -p "$o_here"
	if [ "$o_staged_tree" != "$o_here_tree" ] && [ "$o_staged_tree" != "$o_snapshot" ]; then
		o_kept=$(_orchestra_work_commit "$o_staged_tree" -p "$o_here") || exit 3
		set -- "$@" -p "$o_kept"
	fi
	o_kept=$(_orchestra_work_commit "$o_snapshot" "$@") || exit 3
	_orchestra_save "$o_kept"
}

# Sets o_staged_tree and o_snapshot, through an index aside: the worktree and its own index stay as they are.
_orchestra_take_snapshot() {
	o_staged_tree=$(_orchestra_git -C "$1" write-tree) || _orchestra_stay "the index of $1 holds a conflict"
	command cp -p -- "$o_admin/index" "$o_scratch/index" || exit 3
	o_snapshot=$(_orchestra_write_all "$1") || _orchestra_stay "the work in $1 cannot be saved"
}

_orchestra_write_all() (
	export GIT_INDEX_FILE="$o_scratch/index"
	_orchestra_git -C "$1" ls-files -v | command grep -q '^[a-zS]' && exit 1
	_orchestra_git -C "$1" add --all && _orchestra_git -C "$1" write-tree || exit 1
	# A repository inside the worktree would be kept as no more than a commit id.
	! _orchestra_git -C "$1" diff-index --cached --diff-filter=A HEAD -- | command grep -q ' 160000 \|^:[0-9]* 160000 '
)

# ---- Removal: out of sight first, looked at again there, then forgotten by git, then deleted

_orchestra_tear_down() {
	o_own=$o_state/fleets/$o_fleet/agents/$o_agent
	command mkdir -p -- "$o_own" && : >"$o_own/teardown.log"
	_orchestra_teardown_commands _orchestra_run_teardown
}

_orchestra_run_teardown() {
	command printf '$ %s\n' "$1" >>"$o_own/teardown.log"
	_orchestra_run _orchestra_agent_variables "$o_worktree" "$o_own/teardown.log" "$2" "$1"
	[ "$o_outcome" = passed ] || _orchestra_stay "teardown: \`$1\` $o_outcome; see $o_own/teardown.log"
}

_orchestra_remove_worktree() {
	_orchestra_save_work "$o_place" # the teardown may have left something
	o_seen=$o_snapshot
	command mkdir -p -- "${o_retired%/*}" && command mv -- "$o_place" "$o_retired" || exit 3
	_orchestra_point "$o_admin" "$o_retired"
	_orchestra_take_snapshot "$o_retired"
	[ "$o_snapshot" = "$o_seen" ] || {
		_orchestra_put_back
		_orchestra_stay "somebody works in $o_place"
	}
	_orchestra_keep_ignored
	_orchestra_forget_retired
	_orchestra_say "$o_agent: $o_place is removed"
}

# What a killed removal left: brought to its end when git had forgotten it, else put back.
_orchestra_settle_removal() {
	[ -d "$o_retired" ] && [ -z "$o_dry" ] || return 0
	o_admin=$(command sed 's/^gitdir: //' "$o_retired/.git" 2>/dev/null)
	if [ -d "${o_admin:-/nowhere}" ] && ! _orchestra_exists "$o_place"; then
		_orchestra_put_back
	else
		command rm -rf -- "$o_retired"
		command rmdir -- "${o_retired%/*}" 2>/dev/null
	fi
}

_orchestra_put_back() {
	command mv -- "$o_retired" "$o_place" && _orchestra_point "$o_admin" "$o_place" || exit 3
	command rmdir -- "${o_retired%/*}" 2>/dev/null
}

# Ignored files (not folders) that are not as we rendered them may be somebody's.
_orchestra_keep_ignored() {
	_orchestra_git -C "$o_retired" ls-files -z --others --ignored --exclude-standard --directory |
		command tr '\n\000' '\001\n' >"$o_scratch/ignored"
	o_own=$o_state/fleets/$o_fleet/agents/$o_agent
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		[ "$o_path" = "${o_path%/}" ] || continue
		command cmp -s "$o_retired/$o_path" "$o_own/rendered/$o_path" || _orchestra_keep
	done 3<"$o_scratch/ignored"
}

_orchestra_keep() {
	o_kept=$o_own/kept/$o_path
	o_try=1
	while _orchestra_exists "$o_kept"; do
		o_try=$((o_try + 1))
		o_kept=$o_own/kept/$o_path.$o_try
	done
	command mkdir -p -- "${o_kept%/*}" && command mv -- "$o_retired/$o_path" "$o_kept" || exit 3
	_orchestra_say "$o_agent: kept $o_kept"
}

_orchestra_forget_retired() {
	_orchestra_point "$o_admin" "$o_place"
	[ ! -e "$o_admin/locked" ] || _orchestra_git -C "$o_common" worktree unlock "$o_place" || exit 3
	_orchestra_git -C "$o_common" worktree remove "$o_place" || exit 3
	command rm -rf -- "$o_retired"
	command rmdir -- "${o_retired%/*}" 2>/dev/null || command :
}

_orchestra_forget_agent() {
	o_own=$o_state/fleets/$o_fleet/agents/$o_agent
	command rm -rf -- "$o_own/rendered"
	command rm -f -- "$o_own/setup.json" "$o_own/copied.json" "$o_own/setup.log" "$o_own/teardown.log"
	_orchestra_delist
}

# Takes worktrees that are gone out of the list of those whose instruction files are hidden; with the last one our part
# of the repository's configuration goes.
_orchestra_delist() {
	o_list=$o_state/worktrees.config
	[ -f "$o_list" ] || return 0
	while IFS= read -r o_entry && IFS= read -r o_line; do
		o_name=${o_entry#*worktrees/}
		o_name=$(command printf '%s' "${o_name%\"]}" | command sed 's/\\\(.\)/\1/g')
		case $o_line in
		*"fleets/$o_fleet/"*) [ -d "$o_common/worktrees/$o_name" ] || continue ;;
		esac
		command printf '%s\n%s\n' "$o_entry" "$o_line"
	done <"$o_list" >"$o_scratch/text"
	command cmp -s "$o_scratch/text" "$o_list" || _orchestra_put_file "$o_list"
	[ -s "$o_list" ] || _orchestra_git -C "$o_common" config --local --unset-all includeIf.gitdir:./worktrees/.path \
		'^orchestra/worktrees\.config$' || command :
}

# ---- The folder of the worktrees, if we made it and nothing else is in it

_orchestra_remove_folder() {
	_orchestra_use "$@"
	[ -z "$o_dry" ] || return 0
	o_above=${o_worktree%/*}
	while [ "$o_above" != "$o_root" ] && command rmdir -- "$o_above" 2>/dev/null; do
		o_above=${o_above%/*}
	done
}

_orchestra_may_remove_root() {
	[ "$(command cat "$o_state/fleets/$o_fleet/made-root" 2>/dev/null)" = "$o_root" ] && [ -d "$o_root" ] &&
		[ -z "$(command ls -A -- "$o_root")" ]
}

_orchestra_remove_root() {
	command rmdir -- "$o_root" && command rm -f -- "$o_state/fleets/$o_fleet/made-root"
}
