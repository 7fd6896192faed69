# ==== Spawn ========================================================================================================
#
# Nothing is made while a check fails. The base is pinned once for the whole fleet. A worktree appears whole, by a rename.
# What somebody else made or edited stays as it is and is named. After a kill the next run does what is missing.

# _orchestra_spawn [AGENT...]
_orchestra_spawn() {
	_orchestra_require_supported "$o_spawn_refused" 'orchestra spawn'
	[ ! -e "$o_home/.worktreeinclude" ] || _orchestra_require_supported .worktreeinclude 'orchestra spawn'
	o_chosen=
	for o_word in "$@"; do
		_orchestra_require_agent "$o_word"
		o_chosen="$o_chosen $o_agent "
	done
	if [ -n "$o_dry" ]; then _orchestra_spawn_all; else _orchestra_locked lock _orchestra_spawn_all; fi
}

_orchestra_spawn_all() {
	o_failed=
	_orchestra_find_base
	_orchestra_check_places
	_orchestra_do "remember $o_fleet as the fleet spawned last" _orchestra_remember
	_orchestra_each_open _orchestra_pin
	_orchestra_do 'hide the instruction files from git status, in the worktrees of this fleet' _orchestra_hide
	_orchestra_each_open _orchestra_add
	_orchestra_each_open _orchestra_set_up
	[ -n "$o_dry" ] || _orchestra_say "Next: orchestrate.sh start AGENT; orchestrate.sh status; merge-helper.sh --help"
	[ -z "$o_failed" ] || exit 1
}

# _orchestra_do TEXT COMMAND...: runs COMMAND; with ORCHESTRA_DRY_RUN=1 it only prints TEXT.
_orchestra_do() {
	[ -z "$o_dry" ] || { _orchestra_say "would $1" && return; }
	shift
	"$@"
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
	o_staged=${o_worktree%/*}/.orchestra-new/${o_worktree##*/}
	o_reason="orchestra: $o_fleet/$o_agent"
	[ -n "$o_landed$o_discarded" ] || "$o_step"
}

# Sets o_start: the base that the fleet has already, else the target's newest commit, here or on the remote.
_orchestra_find_base() {
	o_start=
	_orchestra_agents _orchestra_adopt_base
	if [ -z "$o_start" ]; then
		o_start=$(_orchestra_commit "$o_target_ref")
		o_remote_tip=$(_orchestra_commit "refs/remotes/${o_remote:-.}/$o_target")
		[ -n "$o_start" ] || o_start=$o_remote_tip
		[ -z "$o_remote_tip" ] || ! _orchestra_is_ancestor "$o_start" "$o_remote_tip" || o_start=$o_remote_tip
	fi
	[ -n "$o_start" ] || _orchestra_fail 3 "there is no branch $o_target with a commit" \
		"name the branch where work lands in the blueprint (target: main), or commit to $o_target"
	_orchestra_find_standards "$o_start"
}

_orchestra_adopt_base() { [ -n "$o_start" ] || o_start=$(_orchestra_commit "$o_refs/$2/base"); }

# ---- Checks: every problem is reported at once

_orchestra_check_places() {
	{
		case "$o_root/" in
		"$o_home"/*) _orchestra_say "worktrees.root $o_root is inside the repository: name a folder outside, or use orchestra spawn" ;;
		esac
		_orchestra_instructions _orchestra_repo_git --literal-pathspecs ls-tree --full-tree --name-only "$o_start" -- |
			command grep -vx 'CLAUDE\.md' | command sed 's/$/: the repository tracks it, and it would be overwritten/'
		o_empty=$(_orchestra_repo_git hash-object -t tree --stdin </dev/null)
		command printf '%s\n' "$o_requires" | while IFS= read -r o_one; do
			[ -z "$o_one" ] || _orchestra_repo_git diff-tree -r --name-only "$o_empty" "$o_start" -- ":(top,glob)$o_one" | command grep -q . ||
				_orchestra_say "$o_target has no $o_one, which $o_fleet requires: commit it, or run orchestra init --from=$o_blueprint"
		done
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
	elif [ -n "$o_admin" ] && [ ! -e "$o_worktree/.git" ]; then
		_orchestra_say "$o_worktree of agent $o_agent was deleted, but git still registers it: orchestra spawn makes it again"
	elif [ -z "$o_admin" ] && _orchestra_exists "$o_worktree"; then
		_orchestra_say "$o_worktree, the worktree of agent $o_agent, already exists: move it, or set worktrees.directory"
	fi
	o_elsewhere=$(_orchestra_checkout "$o_branch" | command grep -vxF -e "$o_worktree" -e "$o_staged")
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
	[ -n "$o_dry" ] || _orchestra_say "$o_branch" | _orchestra_write "$o_own/branch"
}

# A worktree that exists is left as it is. A new one is made and filled at o_staged, then renamed. The reason of its lock
# records whose it is.
_orchestra_add() {
	[ -e "$o_worktree/.git" ] || _orchestra_do "git worktree add --lock $o_worktree $o_branch" _orchestra_add_worktree
}

_orchestra_add_worktree() {
	[ -d "$o_root" ] || { o_one=$o_root && until [ -d "${o_one:-/}" ]; do _orchestra_say "$o_one" && o_one=${o_one%/*}; done; } |
		_orchestra_write "$o_state/fleets/$o_fleet/made-root"
	_orchestra_find_admin "$o_staged"
	[ -z "$o_admin" ] || { command rm -rf -- "$o_staged" && _orchestra_unregister "$o_staged"; } || exit 3
	for o_one in "$o_common"/worktrees/*; do # git cannot see a registration that a kill cut off
		[ -e "$o_one/gitdir" ] || [ "$(_orchestra_read_file "$o_one/locked")" != "$o_reason" ] || command rm -rf -- "$o_one"
	done
	command mkdir -p -- "${o_staged%/*}" && _orchestra_repo_git -c worktree.useRelativePaths=false worktree add --quiet \
		--no-checkout --lock --reason "$o_reason" "$o_staged" "$o_branch" || exit 3
	_orchestra_find_admin "$o_staged"
	_orchestra_enlist
	_orchestra_git -C "$o_staged" -c index.version=2 -c core.untrackedCache=false -c core.splitIndex=false read-tree -m -u HEAD || exit 3
	_orchestra_mark not-ready 'its set-up has not finished: run spawn again'
	_orchestra_files
	command printf '%s/.git\n' "$o_worktree" >"$o_admin/gitdir.orchestra" &&
		command mv -f -- "$o_admin/gitdir.orchestra" "$o_admin/gitdir" && command mv -- "$o_staged" "$o_worktree" || exit 3
	command rmdir -- "${o_staged%/*}" 2>/dev/null
	_orchestra_say "$o_agent: $o_worktree on $o_branch"
}

# ---- Files

# _orchestra_resolve PATH: sets o_real, the path without symbolic links and .. as far as it exists.
_orchestra_resolve() {
	o_existing=$1 o_missing=
	while [ ! -d "$o_existing/" ]; do
		o_missing=/${o_existing##*/}$o_missing
		o_existing=${o_existing%/*}
	done
	o_real=$(command cd -P -- "$o_existing/" && command pwd -P)
	o_real=${o_real%/}$o_missing
}

# _orchestra_is_same FILE OTHER: FILE is a regular file with the same content.
_orchestra_is_same() { _orchestra_is_regular "$1" && command cmp -s "$1" "$2"; }

# _orchestra_write FILE: writes standard input, unless FILE holds it already.
_orchestra_write() {
	command cat >"$o_scratch/text"
	_orchestra_is_same "$1" "$o_scratch/text" || _orchestra_write_file "$1"
}

# _orchestra_file PATH: writes a text of the data below into the new worktree. A copy shows clean whether it was edited.
_orchestra_file() {
	_orchestra_fill >"$o_scratch/text" || exit 3
	_orchestra_write_file "$o_staged/$1"
	_orchestra_write_file "$o_own/rendered/$1"
}

# ---- Hidden from git status in the agents' worktrees only: .git/info/exclude would hide them in yours, too

# The repository's configuration includes worktrees.config, which includes a file for each worktree of the fleet.
_orchestra_hide() {
	o_yours=$(_orchestra_git -C "$o_home" config --path --get core.excludesFile) || o_yours=${XDG_CONFIG_HOME:-${HOME-}/.config}/git/ignore
	{ # git reads one such file only, so yours is copied into it
		[ ! -r "$o_yours" ] || _orchestra_awk '{ print }' "$o_yours"
		command printf '# orchestra: files of its own in the worktrees of fleet %s\n' "$o_fleet"
		{
			_orchestra_instructions command printf '%s\n'
			command printf '.orchestra-tmp\n'
		} | LC_ALL=C command sort -u | command sed -e 's/[\\*?[]/\\&/g' -e 's|^|/|'
		command printf '/.TASK.md.[0-9]*\n' # while the tool requests changes
	} | _orchestra_write "$o_state/fleets/$o_fleet/excludes"
	command printf '[core]\n\texcludesFile = "%s"\n' "$(_orchestra_quoted "$o_state/fleets/$o_fleet/excludes")" |
		_orchestra_write "$o_state/fleets/$o_fleet/worktree.config"
	o_key=includeIf.gitdir:./worktrees/.path
	_orchestra_repo_git config --local --get-all "$o_key" | command grep -qx orchestra/worktrees.config ||
		_orchestra_repo_git config --local --add "$o_key" orchestra/worktrees.config || exit 3
}

# Makes the excludes apply to the worktree of o_admin.
_orchestra_enlist() {
	o_entry="[includeIf \"gitdir:worktrees/$(_orchestra_quoted "${o_admin##*/}")\"]"
	{
		ORCHESTRA_ENTRY=$o_entry _orchestra_awk '$0 == ENVIRON["ORCHESTRA_ENTRY"] { getline; next } { print }' "$o_state/worktrees.config" 2>/dev/null
		command printf '%s\n\tpath = "fleets/%s/worktree.config"\n' "$o_entry" "$o_fleet"
	} | _orchestra_write "$o_state/worktrees.config"
}

# _orchestra_quoted TEXT: as the inside of a string of git's configuration or of JSON.
_orchestra_quoted() { command printf '%s' "$1" | command sed 's/[\\"]/\\&/g'; }

# ---- Set-up: an agent is ready when every command passed. A failure stops no other agent, and is tried again next time.

_orchestra_set_up() {
	command grep -qs '"state": "not-ready"' "$o_own/setup.json" || [ -n "$o_dry" ] || return 0
	o_failure=
	_orchestra_setup_commands _orchestra_run_setup
	if [ -n "$o_failure" ]; then
		o_failed=1
		_orchestra_mark not-ready 'its set-up failed: see setup.log'
		_orchestra_warn "$o_agent: not ready: $o_failure; see $o_own/setup.log"
	else
		_orchestra_do "mark $o_agent as ready" _orchestra_mark ready ''
	fi
}

# _orchestra_run_setup COMMAND SECONDS: runs it as the agent in use, unless o_failure is set; sets o_failure.
_orchestra_run_setup() {
	[ -z "$o_failure" ] || return 0
	[ -z "$o_dry" ] || { _orchestra_say "would (cd $o_worktree && $1)" && return; }
	_orchestra_say "$o_agent: $1"
	_orchestra_run _orchestra_agent_environment "$o_worktree" "$o_own/setup.log" "$1" "$2"
	[ "$o_outcome" = passed ] || o_failure="\`$1\` $o_outcome (exit code $o_code, time limit $2 s)"
}

# _orchestra_mark STATE REASON: records the state of an agent's set-up, in the tool's format.
_orchestra_mark() { command printf '{"state": "%s", "reason": "%s"}\n' "$1" "$2" | _orchestra_write "$o_own/setup.json"; }

_orchestra_remember() {
	[ ! -f "$o_home/$o_blueprint" ] || o_blueprint=$o_home/$o_blueprint
	command printf '{"source": "%s"}\n' "$(_orchestra_quoted "$o_blueprint")" | _orchestra_write "$o_state/fleets/$o_fleet/blueprint.json"
	command printf '%s\n' "$o_target" | _orchestra_write "$o_state/fleets/$o_fleet/target"
	command printf '%s\n' "$o_fleet" | _orchestra_write "$o_state/current"
}
