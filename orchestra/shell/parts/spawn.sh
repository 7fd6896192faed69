# ==== Spawn ========================================================================================================
#
# Nothing is made while a check fails. The base is pinned once for the whole fleet. A worktree appears whole, by a rename.
# What somebody else made or edited stays as it is and is named. After a kill the next run does what is missing.

# _orchestra_spawn [AGENT...]
_orchestra_spawn() {
	o_chosen=
	for o_word in "$@"; do
		_orchestra_require_agent "$o_word"
		o_chosen="$o_chosen $o_agent "
	done
	if [ -n "$o_dry" ]; then _orchestra_spawn_all; else _orchestra_locked _orchestra_spawn_all; fi
}

_orchestra_spawn_all() {
	o_failed=
	_orchestra_find_base
	_orchestra_find_copies
	_orchestra_check_places
	_orchestra_do "remember $o_fleet as the fleet spawned last" _orchestra_remember
	_orchestra_each_open _orchestra_pin
	_orchestra_do 'hide the instruction files from git status, in the worktrees of this fleet' _orchestra_hide
	_orchestra_each_open _orchestra_add_or_refresh
	_orchestra_each_open _orchestra_set_up
	[ -n "$o_dry" ] || command cat <<END_OF_TEXT

The agents of $o_fleet have their worktrees in $o_root. Next:
  orchestrate.sh start AGENT     start an agent in this terminal; path AGENT prints its folder
  orchestrate.sh status          show the state of every agent
  merge-helper.sh                land what is approved, in order
END_OF_TEXT
	[ -z "$o_failed" ] || exit 1
}

# _orchestra_each_open STEP: runs it for every chosen agent that has neither landed nor been discarded.
_orchestra_each_open() {
	o_step=$1
	_orchestra_agents _orchestra_if_open
}

_orchestra_if_open() {
	_orchestra_select_agent "$@"
	_orchestra_is_chosen || return 0
	_orchestra_read_agent
	_orchestra_find_places
	[ -n "$o_landed$o_discarded" ] || "$o_step"
}

# Sets o_staged (where the agent's worktree is made), o_retired (where it is removed) and o_reason (why it is locked).
_orchestra_find_places() {
	o_staged=${o_worktree%/*}/.orchestra-new/${o_worktree##*/}
	o_retired=${o_worktree%/*}/.orchestra-old/${o_worktree##*/}
	o_reason="orchestra: $o_fleet/$o_agent"
}

# Sets o_start: the base that the fleet has already, else the target's newest commit, here or on the remote.
_orchestra_find_base() {
	o_start=
	_orchestra_agents _orchestra_adopt_base
	if [ -z "$o_start" ]; then
		o_start=$(_orchestra_commit "$o_target_ref") || o_start=
		o_remote_tip=$(_orchestra_commit "refs/remotes/${o_remote:-.}/$o_target") || o_remote_tip=
		[ -n "$o_start" ] || o_start=$o_remote_tip
		[ -z "$o_remote_tip" ] || ! _orchestra_is_ancestor "$o_start" "$o_remote_tip" || o_start=$o_remote_tip
	fi
	[ -n "$o_start" ] || _orchestra_fail 3 "there is no branch $o_target with a commit" \
		"name the branch where work lands in the blueprint (target: main), or commit to $o_target"
	_orchestra_find_standards "$o_start"
}

_orchestra_adopt_base() { [ -n "$o_start" ] || o_start=$(_orchestra_commit "$o_refs/$2/base") || o_start=; }

# ---- Checks: every problem is reported at once

_orchestra_check_places() {
	{
		case "$o_home/" in
		"$o_root"/*) _orchestra_say "worktrees.root is $o_root, which holds the repository itself: name another folder" ;;
		esac
		case "$o_root/" in
		"$o_common"/*) _orchestra_say "worktrees.root is $o_root, inside $o_common: name a folder outside of the repository" ;;
		"$o_home"/*) _orchestra_git -C "$o_home" check-ignore --quiet --no-index -- "${o_root#"$o_home"/}/file" ||
			_orchestra_say "worktrees.root $o_root is inside the checkout and not ignored: add /${o_root#"$o_home"/}/ to .gitignore" ;;
		esac
		_orchestra_instructions _orchestra_repo_git --literal-pathspecs ls-tree --full-tree --name-only "$o_start" -- |
			command grep -vx 'CLAUDE\.md' | command sed 's/$/: the repository tracks it, and it would be overwritten/'
		_orchestra_each_open _orchestra_check_agent
	} >"$o_scratch/problems"
	[ ! -s "$o_scratch/problems" ] || { command sed 's/^/error: /' "$o_scratch/problems" >&2 && exit 3; }
}

_orchestra_check_agent() {
	[ -n "$o_base" ] || [ -z "$o_head" ] || _orchestra_say "the branch $o_branch of agent $o_agent already exists:" \
		"rename it (git branch -m $o_branch OTHER), or change worktrees.branch"
	_orchestra_resolve "${o_worktree%/*}"
	[ "$o_real" = "${o_worktree%/*}" ] || _orchestra_say "$o_worktree: a symbolic link leads out of $o_root"
	_orchestra_find_admin "$o_worktree"
	if [ -n "$o_admin" ] && [ -z "$o_base" ]; then
		_orchestra_say "$o_worktree, the worktree of agent $o_agent, already exists: it is another worktree of this" \
			"repository; set worktrees.root to another folder"
	elif [ -z "$o_admin" ] && _orchestra_exists "$o_worktree"; then
		_orchestra_say "$o_worktree, the worktree of agent $o_agent, already exists: move it, or set worktrees.directory"
	fi
	o_elsewhere=$(_orchestra_checkouts "$o_branch" | command grep -vxF -e "$o_worktree" -e "$o_staged")
	[ -z "$o_elsewhere" ] ||
		_orchestra_say "the branch $o_branch of agent $o_agent is checked out at $o_elsewhere: check out another one there"
}

# ---- Branch and worktree

# The base ref records that the branch is the agent's, so it comes first. A deleted branch comes back at its approval.
_orchestra_pin() {
	[ -n "$o_base" ] || _orchestra_do "git update-ref $o_ref/base $(_orchestra_short "$o_start")" \
		_orchestra_move "$o_ref/base" '' "$o_start" 'pin the base' || exit
	[ -n "$o_head" ] || _orchestra_do "git branch --no-track $o_branch $(_orchestra_short "${o_approved:-${o_base:-$o_start}}")" \
		_orchestra_move "refs/heads/$o_branch" '' "${o_approved:-${o_base:-$o_start}}" "branches of fleet $o_fleet" || exit
}

_orchestra_add_or_refresh() {
	if [ -e "$o_worktree/.git" ]; then
		_orchestra_do_files "$o_worktree" _orchestra_refresh_file
	else
		_orchestra_do "git worktree add --lock $o_worktree $o_branch" _orchestra_add_worktree
	fi
}

# Made and filled at o_staged, then renamed. The reason of its lock records whose it is.
_orchestra_add_worktree() {
	[ -d "$o_root" ] || command printf '%s\n' "$o_root" | _orchestra_write "$o_state/fleets/$o_fleet/made-root"
	for o_leftover in "$o_staged" "$o_worktree"; do
		_orchestra_find_admin "$o_leftover"
		[ -z "$o_admin" ] || _orchestra_forget_leftover "$o_leftover"
	done
	for o_one in "$o_common"/worktrees/*; do # git cannot see a registration that a kill cut off
		[ -e "$o_one/gitdir" ] || [ "$(command cat -- "$o_one/locked" 2>/dev/null)" != "$o_reason" ] || command rm -rf -- "$o_one"
	done
	command mkdir -p -- "${o_staged%/*}" && _orchestra_repo_git -c worktree.useRelativePaths=false worktree add --quiet \
		--no-checkout --lock --reason "$o_reason" "$o_staged" "$o_branch" || exit 3
	o_admin=$(_orchestra_git -C "$o_staged" rev-parse --absolute-git-dir) || exit 3
	_orchestra_enlist "${o_admin##*/}"
	_orchestra_git -C "$o_staged" -c index.version=2 -c core.untrackedCache=false -c core.splitIndex=false \
		read-tree -m -u HEAD || exit 3
	_orchestra_mark not-ready 'its set-up has not finished: run spawn again'
	_orchestra_do_files "$o_staged" _orchestra_write_rendered
	_orchestra_copy_files "$o_staged"
	_orchestra_point "$o_worktree"
	command mv -- "$o_staged" "$o_worktree" || exit 3
	command rmdir -- "${o_staged%/*}" 2>/dev/null || command :
	_orchestra_say "$o_agent: $o_worktree on $o_branch"
}

# _orchestra_point PATH: registers the worktree of o_admin at another path.
_orchestra_point() {
	command printf '%s/.git\n' "$1" >"$o_admin/gitdir.orchestra" && command mv -f -- "$o_admin/gitdir.orchestra" "$o_admin/gitdir" || exit 3
}

# _orchestra_forget_leftover PATH: what a killed spawn left at o_staged holds no work; of a worktree whose folder was
# deleted, what was staged is kept.
_orchestra_forget_leftover() {
	[ ! -e "$o_admin/locked" ] || [ "$(command cat -- "$o_admin/locked")" = "$o_reason" ] ||
		_orchestra_fail 3 "git has a locked worktree at $1, which does not exist" "git worktree unlock $1 && git worktree remove $1"
	if [ "$1" = "$o_worktree" ] && [ -n "$o_head" ] && [ ! -e "$o_admin/orchestra-saved" ] && [ -e "$o_admin/index" ]; then
		o_staged_tree=$(GIT_INDEX_FILE="$o_admin/index" && export GIT_INDEX_FILE && _orchestra_repo_git write-tree) || exit 3
		[ "$o_staged_tree" = "$(_orchestra_tree "$o_head")" ] || _orchestra_save "$(_orchestra_work_commit "$o_staged_tree" -p "$o_head")"
	fi
	command rm -rf -- "$o_staged"
	_orchestra_unregister "$1"
}

# _orchestra_work_commit TREE [-p PARENT]...: prints a commit that keeps uncommitted work.
_orchestra_work_commit() (
	export GIT_AUTHOR_NAME=orchestra GIT_AUTHOR_EMAIL=orchestra@localhost \
		GIT_COMMITTER_NAME=orchestra GIT_COMMITTER_EMAIL=orchestra@localhost
	_orchestra_repo_git commit-tree -m "uncommitted work of $o_agent" "$@"
)

# _orchestra_save COMMIT: as the first free refs/orchestra/FLEET/AGENT/saved/N, unless one of them holds the same.
_orchestra_save() {
	[ -n "$1" ] || exit 3
	o_free=1
	while o_saved=$(_orchestra_commit "$o_ref/saved/$o_free"); do
		[ "$(_orchestra_repo_git log -1 --format='%T %P' "$o_saved")" != "$(_orchestra_repo_git log -1 --format='%T %P' "$1")" ] || return 0
		o_free=$((o_free + 1))
	done
	_orchestra_move "$o_ref/saved/$o_free" '' "$1" 'save uncommitted work' || exit
	_orchestra_say "$o_agent: uncommitted work is saved as $o_ref/saved/$o_free"
}

# ---- Instruction files. A copy of each as it was rendered shows whether somebody edited it since.

# _orchestra_write FILE: writes standard input, unless FILE holds it already.
_orchestra_write() {
	command cat >"$o_scratch/text"
	{ _orchestra_is_regular "$1" && command cmp -s "$o_scratch/text" "$1"; } || _orchestra_write_file "$1"
}

# _orchestra_do_files FOLDER STEP: runs STEP for each of the agent's files, with its path in o_file and $o_scratch/text.
_orchestra_do_files() {
	o_into=$1 o_file_step=$2
	_orchestra_files
}

# _orchestra_file PATH: reads a text from the data below.
_orchestra_file() {
	o_file=$1
	_orchestra_fill >"$o_scratch/text" || exit 3
	"$o_file_step"
}

_orchestra_write_rendered() {
	_orchestra_write_file "$o_into/$o_file"
	_orchestra_write_file "$o_own/rendered/$o_file"
}

_orchestra_refresh_file() {
	o_current=$o_into/$o_file
	_orchestra_resolve "${o_current%/*}"
	if [ -e "$o_current" ] && command cmp -s "$o_own/rendered/$o_file" "$o_scratch/text"; then
		return
	elif [ "$o_real" != "${o_current%/*}" ] || { _orchestra_exists "$o_current" && ! _orchestra_is_regular "$o_current"; }; then
		_orchestra_warn "$o_agent: $o_file is not a regular file in its worktree, so it is not rendered"
	elif ! _orchestra_exists "$o_current" || command cmp -s "$o_current" "$o_scratch/text" ||
		command cmp -s "$o_current" "$o_own/rendered/$o_file"; then
		_orchestra_do "write $o_current" _orchestra_write_rendered
	else
		_orchestra_warn "$o_agent: $o_file was edited, so it is not rendered again"
	fi
}

# ---- Hidden from git status in the agents' worktrees only: .git/info/exclude would hide them in yours, too

_orchestra_hide() {
	o_yours=$(_orchestra_git -C "$o_home" config --path --get core.excludesFile) ||
		o_yours=${XDG_CONFIG_HOME:-${HOME-}/.config}/git/ignore
	[ "$o_yours" != "${o_yours#/}" ] || o_yours=$o_home/$o_yours
	command tr '\001\n' '\n\000' <"$o_scratch/names" | _orchestra_git -C "$o_source" check-ignore -z --stdin |
		_orchestra_lines | LC_ALL=C command sort -u >"$o_scratch/ignored"
	{ # git reads one such file only, so yours is copied into it
		[ ! -f "$o_yours" ] || [ ! -r "$o_yours" ] || _orchestra_awk '{ print }' "$o_yours"
		command printf '# orchestra: files of its own in the worktrees of fleet %s\n' "$o_fleet"
		{
			_orchestra_instructions command printf '%s\n'
			LC_ALL=C command comm -23 "$o_scratch/names" "$o_scratch/ignored" | command grep -v "$(command printf '\001')"
			command printf '.orchestra-tmp\n'
		} | LC_ALL=C command sort -u | command sed -e 's/[\\*?[]/\\&/g' -e ':a' -e 's/\([^\\]\) \(\(\\ \)*\)$/\1\\ \2/' -e 'ta' -e 's|^|/|'
		command printf '/.TASK.md.[0-9]*\n' # while changes are being requested
	} | _orchestra_write "$o_state/fleets/$o_fleet/excludes"
	command printf '[core]\n\texcludesFile = "%s"\n' \
		"$(command printf '%s' "$o_state/fleets/$o_fleet/excludes" | command sed 's/[\\"]/\\&/g')" |
		_orchestra_write "$o_state/fleets/$o_fleet/worktree.config"
	o_key=includeIf.gitdir:./worktrees/.path
	_orchestra_repo_git config --local --get-all "$o_key" | command grep -qx orchestra/worktrees.config ||
		_orchestra_repo_git config --local --add "$o_key" orchestra/worktrees.config || exit 3
	_orchestra_each_open _orchestra_enlist_existing
}

_orchestra_enlist_existing() {
	_orchestra_find_admin "$o_worktree"
	[ -z "$o_admin" ] || _orchestra_enlist "${o_admin##*/}"
}

# _orchestra_enlist NAME: makes the excludes apply to the worktree that git registered under this name.
_orchestra_enlist() {
	o_entry="[includeIf \"gitdir:worktrees/$(command printf '%s' "$1" | command sed 's/[\\"]/\\&/g')\"]"
	{
		[ ! -f "$o_state/worktrees.config" ] || ORCHESTRA_ENTRY=$o_entry _orchestra_awk \
			'NR % 2 { entry = $0; next } entry != ENVIRON["ORCHESTRA_ENTRY"] { print entry "\001" $0 }' "$o_state/worktrees.config"
		command printf '%s\001\tpath = "fleets/%s/worktree.config"\n' "$o_entry" "$o_fleet"
	} | LC_ALL=C command sort | command tr '\001' '\n' | _orchestra_write "$o_state/worktrees.config"
}

# ---- Set-up: an agent is ready when every command passed. A failure stops no other agent, and is tried again next time.

_orchestra_set_up() {
	command grep -q '"state": "not-ready"' "$o_own/setup.json" 2>/dev/null || [ -n "$o_dry" ] || return 0
	o_failure=
	_orchestra_shared _orchestra_share
	[ -n "$o_dry" ] || : >"$o_own/setup.log"
	_orchestra_setup_commands _orchestra_run_logged "$o_own/setup.log"
	if [ -n "$o_failure" ]; then
		o_failed=1
		_orchestra_mark not-ready "$o_failure"
		_orchestra_warn "$o_agent: not ready: $o_failure; see $o_own/setup.log"
	else
		_orchestra_do "mark $o_agent as ready" _orchestra_mark ready ''
	fi
}

_orchestra_share() { _orchestra_do "cp -R $o_source/$1 $o_worktree/$1" _orchestra_copy "$1" "$o_worktree" -RPp || exit 3; }

# _orchestra_run_logged LOG COMMAND SECONDS: runs it as the agent in use, unless o_failure is set; sets o_failure.
_orchestra_run_logged() {
	[ -z "$o_failure" ] || return 0
	[ -z "$o_dry" ] || { _orchestra_say "would (cd $o_worktree && $2)" && return; }
	_orchestra_say "$o_agent: $2"
	command printf '$ %s\n' "$2" >>"$1"
	_orchestra_run _orchestra_agent_environment "$o_worktree" "$1" "$3" "$2"
	case $o_outcome in
	passed) ;;
	failed) o_failure="\`$2\` failed with exit code $o_code" ;;
	timed-out) o_failure="\`$2\` did not end within $3 s" ;;
	*) o_failure="\`$2\` could not be run: exit code $o_code" ;;
	esac
}

# _orchestra_mark STATE REASON: records the state of an agent's set-up, in the tool's format.
_orchestra_mark() {
	command printf '{"state": "%s", "reason": "%s"}\n' "$1" "$(command printf '%s' "$2" | _orchestra_json)" | _orchestra_write "$o_own/setup.json"
}

_orchestra_remember() {
	[ ! -f "$o_home/$o_blueprint" ] || o_blueprint=$o_home/$o_blueprint
	command printf '{"source": "%s"}\n' "$(command printf '%s' "$o_blueprint" | _orchestra_json)" |
		_orchestra_write "$o_state/fleets/$o_fleet/blueprint.json"
	command printf '%s\n' "$o_target" | _orchestra_write "$o_state/fleets/$o_fleet/target"
	command printf '%s\n' "$o_fleet" | _orchestra_write "$o_state/current"
}

# Text as the inside of a JSON string.
_orchestra_json() {
	_orchestra_awk 'NR > 1 { printf "\\n" } { gsub(/\\/, "&&"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); gsub(/\r/, "\\r")
		gsub(/[\001-\037]/, "?"); printf "%s", $0 }'
}
