# ==== Clean: removes worktrees and branches of agents that have landed or were discarded ===========================
#
# Nothing is removed that no ref holds: uncommitted work is saved under saved/N, ignored files are kept beside the refs,
# and then git itself removes the worktree, without --force. What cannot be looked at counts as work. An agent that must
# stay is named with the reason; the others go on.

_orchestra_clean() {
	_orchestra_require_supported "$o_clean_refused" 'orchestra clean'
	if [ -n "$o_dry" ]; then _orchestra_clean_all; else _orchestra_locked lock _orchestra_clean_all; fi
}

_orchestra_clean_all() {
	o_failed=
	_orchestra_agents _orchestra_clean_agent
	[ -z "$o_failed" ] || exit 1
}

_orchestra_clean_agent() {
	_orchestra_select_agent "$@"
	(_orchestra_clean_one) || o_failed=1
}

# _orchestra_stay REASON: leaves the agent as it is, and goes on with the next one.
_orchestra_stay() {
	_orchestra_warn "$o_agent stays: $*"
	exit 0
}

_orchestra_clean_one() {
	_orchestra_read_agent
	[ -n "$o_base" ] && [ -n "$o_landed$o_discarded" ] || exit 0
	_orchestra_check_branch
	_orchestra_find_admin "$o_worktree"
	if [ -n "$o_admin" ] || _orchestra_exists "$o_worktree"; then
		_orchestra_check_worktree
		_orchestra_do "save what is not committed in $o_worktree, and git worktree remove $o_worktree" _orchestra_remove_worktree
	fi
	[ -z "$o_head" ] || _orchestra_do "git branch -d $o_branch" \
		_orchestra_move "refs/heads/$o_branch" "$o_head" '' "clean $o_fleet/$o_agent" || exit
	_orchestra_do "forget the rendered files and the set-up of $o_agent" _orchestra_forget_agent
}

_orchestra_forget_agent() {
	command rm -rf -- "$o_own/rendered"
	command rm -f -- "$o_own/branch" "$o_own/setup.json" "$o_own/copied.json" "$o_own/setup.log"
}

# ---- Checks

_orchestra_check_branch() {
	[ -z "$o_landed" ] || _orchestra_is_ancestor "$o_landed" "$o_target_ref" ||
		_orchestra_stay "$o_target does not contain what landed, $(_orchestra_short "$o_landed")"
	! _orchestra_repo_git symbolic-ref --quiet "refs/heads/$o_branch" >/dev/null || _orchestra_stay "$o_branch is a symbolic ref"
	[ -z "$o_head" ] || [ -n "$(_orchestra_repo_git for-each-ref --contains "$o_head" "$o_ref/approved" "$o_ref/discarded" \
		"$o_ref/landed" "$o_ref/base")" ] ||
		_orchestra_stay "$o_branch has commits made after the verdict; its tip is $(_orchestra_short "$o_head")"
	o_elsewhere=$(_orchestra_checkout "$o_branch" | command grep -vxF -e "$o_worktree")
	[ -z "$o_elsewhere" ] || _orchestra_stay "$o_branch is checked out at $o_elsewhere"
}

_orchestra_check_worktree() {
	[ -n "$o_admin" ] && [ "$(_orchestra_read_file "$o_worktree/.git")" = "gitdir: $o_admin" ] ||
		_orchestra_stay "$o_worktree is not whole, or not a worktree of this repository; use orchestra clean"
	[ ! -e "$o_admin/locked" ] || [ "$(_orchestra_read_file "$o_admin/locked")" = "orchestra: $o_fleet/$o_agent" ] ||
		_orchestra_stay "$o_worktree is locked: $(_orchestra_read_file "$o_admin/locked")"
	for o_one in /proc/[0-9]*; do # only where the system has /proc
		case "$(command readlink "$o_one/cwd" 2>/dev/null)/" in
		"$o_worktree"/*) _orchestra_stay "$o_worktree is in use by process ${o_one#/proc/}" ;;
		esac
	done
	for o_one in rebase-merge rebase-apply MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG; do
		[ ! -e "$o_admin/$o_one" ] || _orchestra_stay "$o_worktree is in the middle of a git operation ($o_one): finish or abort it"
	done
	# git only warns of a folder that it cannot read, and keeps no more than a commit id of a repository inside.
	command find "$o_worktree" -name .git ! -path "$o_worktree/.git" -prune >"$o_scratch/nested" 2>"$o_scratch/unreadable" &&
		[ ! -s "$o_scratch/unreadable" ] || _orchestra_stay "$o_worktree cannot be read whole: $(command head -n 1 "$o_scratch/unreadable")"
	[ ! -s "$o_scratch/nested" ] || _orchestra_stay "$o_worktree holds another git repository: $(command head -n 1 "$o_scratch/nested")"
}

# ---- Removal

# git removes the worktree only if it is clean, so what was saved becomes its HEAD. What changes after that makes git refuse.
_orchestra_remove_worktree() {
	_orchestra_save_work
	_orchestra_keep_ignored
	_orchestra_sync
	[ ! -e "$o_admin/locked" ] || _orchestra_repo_git worktree unlock "$o_worktree" || exit 3
	_orchestra_repo_git worktree remove "$o_worktree" 2>"$o_scratch/removed" || _orchestra_stay "$(command cat "$o_scratch/removed")"
	_orchestra_say "$o_agent: $o_worktree is removed"
}

# Files become a commit as they are; what was staged becomes one where that is something else. Both are made with a copy
# of the index, and held by a ref, before the worktree's own HEAD and index change.
_orchestra_save_work() {
	o_commit=$(_orchestra_git -C "$o_worktree" rev-parse --verify --quiet HEAD) || _orchestra_stay "$o_worktree has no commit"
	o_clean_tree=$(_orchestra_tree "$o_commit")
	o_staged_tree=$(_orchestra_git -C "$o_worktree" write-tree) || _orchestra_stay "the index of $o_worktree holds a conflict"
	o_all_tree=$(_orchestra_write_all) || _orchestra_stay "the work in $o_worktree cannot be saved: $(command cat "$o_scratch/added")"
	set -- -p "$o_commit"
	[ "$o_staged_tree" = "$o_clean_tree" ] || [ "$o_staged_tree" = "$o_all_tree" ] ||
		set -- "$@" -p "$(_orchestra_work_commit "$o_staged_tree" "$@")"
	[ $# -eq 2 ] && [ "$o_all_tree" = "$o_clean_tree" ] || o_commit=$(_orchestra_work_commit "$o_all_tree" "$@")
	[ -n "$o_commit" ] || exit 3
	[ -z "$(_orchestra_repo_git rev-list -n 1 "$o_commit" --not --glob="$o_ref/*" --)" ] || _orchestra_save
	{ _orchestra_git -C "$o_worktree" update-ref --no-deref HEAD "$o_commit" && _orchestra_git -C "$o_worktree" read-tree "$o_commit"; } || exit 3
}

_orchestra_write_all() (
	export GIT_INDEX_FILE="$o_scratch/index"
	command cp -p -- "$o_admin/index" "$o_scratch/index" || exit 1
	_orchestra_git -C "$o_worktree" ls-files -v | command grep '^[a-zS]' >"$o_scratch/added" && exit 1 # git was told to overlook these
	_orchestra_git -C "$o_worktree" -c core.safecrlf=false add --all 2>"$o_scratch/added" && [ ! -s "$o_scratch/added" ] || exit 1
	_orchestra_git -C "$o_worktree" write-tree
)

# _orchestra_work_commit TREE [-p PARENT]...: prints a commit that keeps uncommitted work.
_orchestra_work_commit() {
	_orchestra_repo_git -c user.name=orchestra -c user.email=orchestra@localhost commit-tree -m "uncommitted work of $o_agent" "$@"
}

# Saves o_commit as the first free refs/orchestra/FLEET/AGENT/saved/N.
_orchestra_save() {
	o_free=1
	while _orchestra_commit "$o_ref/saved/$o_free" >/dev/null; do o_free=$((o_free + 1)); done
	_orchestra_move "$o_ref/saved/$o_free" '' "$o_commit" 'save uncommitted work' || exit
	_orchestra_say "$o_agent: uncommitted work is saved as $o_ref/saved/$o_free"
}

# _orchestra_decode: sets o_path from o_field, a name with \001 for a newline.
_orchestra_decode() {
	o_path=$(command printf '%s.' "$o_field" | command tr '\001' '\n')
	o_path=${o_path%.}
}

# Ignored files that differ from what was rendered may be somebody's, also in a new folder; ignored folders are not.
_orchestra_keep_ignored() {
	_orchestra_git -C "$o_worktree" status --porcelain=v1 -z --no-renames --untracked-files=all --ignored=matching |
		_orchestra_lines | command sed -n 's/^!! //p' | command grep -v '/$' >"$o_scratch/ignored"
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		! _orchestra_is_same "$o_worktree/$o_path" "$o_own/rendered/$o_path" || continue
		o_kept=$o_own/kept/$o_path
		while _orchestra_exists "$o_kept"; do o_kept=$o_kept.again; done
		command mkdir -p -- "${o_kept%/*}" && command mv -- "$o_worktree/$o_path" "$o_kept" || exit 3
		_orchestra_say "$o_agent: kept $o_kept"
	done 3<"$o_scratch/ignored"
}
