# ==== Clean: removes worktrees and branches of agents that have landed or were discarded ===========================
#
# Nothing is removed that no ref holds: uncommitted work is saved under saved/N, ignored files are kept beside the refs.
# What cannot be looked at counts as work. An agent that must stay is named with the reason; the others go on.

_orchestra_clean() {
	if [ -n "$o_dry" ]; then _orchestra_clean_all; else _orchestra_locked _orchestra_clean_all; fi
}

_orchestra_clean_all() {
	o_failed=
	_orchestra_agents _orchestra_clean_agent
	[ "$(command cat "$o_state/fleets/$o_fleet/made-root" 2>/dev/null)" != "$o_root" ] || [ ! -d "$o_root" ] ||
		[ -n "$(command ls -A -- "$o_root")" ] || _orchestra_do "rmdir $o_root" _orchestra_remove_root
	[ -z "$o_failed" ] || exit 1
}

_orchestra_remove_root() { command rmdir -- "$o_root" && command rm -f -- "$o_state/fleets/$o_fleet/made-root"; }

_orchestra_clean_agent() {
	_orchestra_select_agent "$@"
	(_orchestra_clean_one) || o_failed=1
	o_above=${o_worktree%/*}
	while [ -z "$o_dry" ] && [ "$o_above" != "$o_root" ] && command rmdir -- "$o_above" 2>/dev/null; do
		o_above=${o_above%/*}
	done
}

# _orchestra_stay REASON: leaves the agent as it is, and goes on with the next one.
_orchestra_stay() {
	_orchestra_warn "$o_agent stays: $*"
	exit 0
}

_orchestra_clean_one() {
	_orchestra_read_agent
	[ -n "$o_base" ] && [ -n "$o_landed$o_discarded" ] || exit 0
	_orchestra_find_places
	_orchestra_check_branch
	_orchestra_find_admin "$o_retired"
	if [ -n "$o_admin" ] && [ -e "$o_worktree/.git" ]; then # killed before the rename
		_orchestra_do "register $o_worktree again" _orchestra_point "$o_worktree"
	elif [ -n "$o_admin" ]; then # killed after it
		_orchestra_do "git worktree remove $o_worktree" _orchestra_remove_worktree
	fi
	_orchestra_find_admin "$o_worktree"
	if [ -e "$o_worktree/.git" ]; then
		_orchestra_check_worktree "$o_worktree"
		_orchestra_do "run the teardown of $o_agent" _orchestra_tear_down
		_orchestra_do "save what is not committed in $o_worktree, and git worktree remove $o_worktree" _orchestra_retire
	elif [ -n "$o_admin" ]; then
		_orchestra_do "git worktree remove $o_worktree" _orchestra_forget_leftover "$o_worktree"
	fi
	[ -z "$o_head" ] || _orchestra_do "git branch -d $o_branch" \
		_orchestra_move "refs/heads/$o_branch" "$o_head" '' "clean $o_fleet/$o_agent" || exit
	_orchestra_do "forget the rendered files and the set-up of $o_agent" _orchestra_forget_agent
}

# ---- Checks

_orchestra_check_branch() {
	! _orchestra_repo_git symbolic-ref --quiet "refs/heads/$o_branch" >/dev/null || _orchestra_stay "$o_branch is a symbolic ref"
	o_is_held=
	for o_one in "$o_approved" "$o_discarded" "$o_landed" "$o_base"; do
		[ -z "$o_one" ] || [ -z "$o_head" ] || ! _orchestra_is_ancestor "$o_head" "$o_one" || o_is_held=1
	done
	[ -z "$o_head" ] || [ -n "$o_is_held" ] ||
		_orchestra_stay "$o_branch has commits made after the verdict; its tip is $(_orchestra_short "$o_head")"
	o_elsewhere=$(_orchestra_checkouts "$o_branch" | command grep -vxF -e "$o_worktree" -e "$o_retired")
	[ -z "$o_elsewhere" ] ||
		_orchestra_stay "$o_branch is checked out at $o_elsewhere"
}

_orchestra_check_worktree() {
	[ -n "$o_admin" ] && [ "$(_orchestra_read_file "$1/.git")" = "gitdir: $o_admin" ] || _orchestra_stay "$1 is not a worktree of this repository"
	[ ! -e "$o_admin/locked" ] || [ "$(command cat -- "$o_admin/locked")" = "$o_reason" ] || _orchestra_stay "$1 is locked: $(command cat -- "$o_admin/locked")"
	for o_one in /proc/[0-9]*; do # only where the system has /proc
		case "$(command readlink "$o_one/cwd" 2>/dev/null)/" in
		"$1"/*) _orchestra_stay "$1 is in use by process ${o_one#/proc/}" ;;
		esac
	done
	for o_one in rebase-merge rebase-apply MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG; do
		[ ! -e "$o_admin/$o_one" ] || _orchestra_stay "$1 is in the middle of a git operation ($o_one): finish or abort it"
	done
	# git only warns of a folder that it cannot read, and keeps no more than a commit id of a repository inside.
	command find "$1" -name .git ! -path "$1/.git" -prune >"$o_scratch/nested" 2>"$o_scratch/unreadable" && [ ! -s "$o_scratch/unreadable" ] ||
		_orchestra_stay "$1 cannot be read whole: $(command head -n 1 "$o_scratch/unreadable")"
	[ ! -s "$o_scratch/nested" ] || _orchestra_stay "$1 holds another git repository: $(command head -n 1 "$o_scratch/nested")"
}

# ---- Removal: renamed first, saved there, where no program works by its path, and then deleted

_orchestra_tear_down() {
	command mkdir -p -- "$o_own" && : >"$o_own/teardown.log"
	o_failure=
	_orchestra_teardown_commands _orchestra_run_logged "$o_own/teardown.log"
	[ -z "$o_failure" ] || _orchestra_stay "teardown: $o_failure; see $o_own/teardown.log"
}

_orchestra_retire() {
	! _orchestra_exists "$o_retired" || _orchestra_stay "$o_retired already exists and is not registered: move it"
	command mkdir -p -- "${o_retired%/*}" || exit 3
	_orchestra_point "$o_retired"
	command mv -- "$o_worktree" "$o_retired" || exit 3
	_orchestra_remove_worktree
}

_orchestra_put_back() {
	command mv -- "$o_retired" "$o_worktree" && _orchestra_point "$o_worktree" || exit 3
	command rmdir -- "${o_retired%/*}" 2>/dev/null
	_orchestra_stay "$*"
}

# A file in git's own folder records that all is saved, since a kill can leave half of the files.
_orchestra_remove_worktree() {
	if [ ! -e "$o_admin/orchestra-saved" ]; then
		_orchestra_save_work
		_orchestra_keep_ignored
		: >"$o_admin/orchestra-saved" || exit 3
	fi
	command rm -rf -- "$o_retired" || _orchestra_stay "$o_retired cannot be removed"
	_orchestra_unregister "$o_retired"
	command rmdir -- "${o_retired%/*}" 2>/dev/null
	_orchestra_say "$o_agent: $o_worktree is removed"
}

# Files become a commit as they are; what was staged becomes one where that is something else. The index is a copy.
_orchestra_save_work() {
	o_head_tree=$(_orchestra_tree "$(_orchestra_git -C "$o_retired" rev-parse --verify --quiet HEAD)") || _orchestra_put_back "$o_worktree has no commit"
	o_staged_tree=$(_orchestra_git -C "$o_retired" write-tree) || _orchestra_put_back "the index of $o_worktree holds a conflict"
	o_all_tree=$(_orchestra_write_all) || _orchestra_put_back "the work in $o_worktree cannot be saved: $(command cat "$o_scratch/added")"
	set -- -p "$(_orchestra_git -C "$o_retired" rev-parse HEAD)"
	if [ "$o_all_tree" = "$o_head_tree" ] && [ "$o_staged_tree" = "$o_head_tree" ]; then
		_orchestra_git -C "$o_retired" symbolic-ref --quiet HEAD >/dev/null || _orchestra_save "$2"
		return
	fi
	[ "$o_staged_tree" = "$o_head_tree" ] || [ "$o_staged_tree" = "$o_all_tree" ] ||
		set -- "$@" -p "$(_orchestra_work_commit "$o_staged_tree" "$@")"
	_orchestra_save "$(_orchestra_work_commit "$o_all_tree" "$@")"
}

_orchestra_write_all() (
	export GIT_INDEX_FILE="$o_scratch/index"
	command cp -p -- "$o_admin/index" "$o_scratch/index" || exit 1
	_orchestra_git -C "$o_retired" ls-files -v | command grep '^[a-zS]' >"$o_scratch/added" && exit 1 # git was told to overlook these
	_orchestra_git -C "$o_retired" -c core.safecrlf=false add --all 2>"$o_scratch/added" && [ ! -s "$o_scratch/added" ] || exit 1
	_orchestra_git -C "$o_retired" write-tree
)

# Ignored files that differ from what was rendered may be somebody's, also in a new folder; ignored folders are not.
_orchestra_keep_ignored() {
	_orchestra_git -C "$o_retired" status --porcelain=v1 -z --no-renames --untracked-files=all --ignored=matching |
		_orchestra_lines | command sed -n 's/^!! //p' >"$o_scratch/ignored"
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		[ "$o_path" = "${o_path%/}" ] || continue
		! _orchestra_is_regular "$o_retired/$o_path" || ! command cmp -s "$o_retired/$o_path" "$o_own/rendered/$o_path" || continue
		o_kept=$o_own/kept/$o_path
		o_try=1
		while _orchestra_exists "$o_kept"; do
			o_try=$((o_try + 1))
			o_kept=$o_own/kept/$o_path.$o_try
		done
		command mkdir -p -- "${o_kept%/*}" && command mv -- "$o_retired/$o_path" "$o_kept" || exit 3
		_orchestra_say "$o_agent: kept $o_kept"
	done 3<"$o_scratch/ignored"
}

_orchestra_forget_agent() {
	command rm -rf -- "$o_own/rendered"
	command rm -f -- "$o_own/setup.json" "$o_own/copied.json" "$o_own/setup.log" "$o_own/teardown.log"
	[ -f "$o_state/worktrees.config" ] || return 0
	while IFS= read -r o_entry && IFS= read -r o_line; do # the worktrees in which the excludes apply
		o_name=${o_entry#*worktrees/}
		o_name=$(command printf '%s' "${o_name%\"]}" | command sed 's/\\\(.\)/\1/g')
		[ "$o_line" != "${o_line#*"fleets/$o_fleet/"}" ] && [ ! -d "$o_common/worktrees/$o_name" ] || command printf '%s\n%s\n' "$o_entry" "$o_line"
	done <"$o_state/worktrees.config" >"$o_scratch/enlisted"
	_orchestra_write "$o_state/worktrees.config" <"$o_scratch/enlisted"
	[ -s "$o_state/worktrees.config" ] || _orchestra_repo_git config --local --unset-all includeIf.gitdir:./worktrees/.path \
		'^orchestra/worktrees\.config$' || command :
}
