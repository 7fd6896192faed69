# ==== Shared by both scripts: start and end of a command, git, files, agents, the lock =============================
#
# Every function that you call has its body in parentheses, so variables, traps and options end with its subshell.
# Variables begin with o_; `command` bypasses your aliases and functions.

# _orchestra_begin IDENTITY VERB: the same behaviour in every shell, whatever its options, variables and git settings.
_orchestra_begin() {
	[ -z "${ZSH_VERSION-}" ] || emulate sh
	set +aefmC -u
	_orchestra_declared
	[ "$1" = "$o_identity" ] || _orchestra_fail 2 "this shell holds functions of two blueprints, $1 and $o_identity" "source both scripts of one blueprint again"
	o_verb=$2 o_dry=${ORCHESTRA_DRY_RUN-} o_job=
	unset IFS CDPATH GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE GIT_PREFIX GIT_CEILING_DIRECTORIES GIT_EXTERNAL_DIFF \
		GIT_DIFF_OPTS GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS GIT_REPLACE_REF_BASE GIT_GRAFT_FILE GIT_SHALLOW_FILE GIT_QUARANTINE_PATH \
		GIT_REFLOG_ACTION GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_DATE GIT_CONFIG GIT_ATTR_SOURCE GIT_NOTES_REF GIT_IMPLICIT_WORK_TREE GIT_INDEX_VERSION \
		GIT_DEFAULT_HASH GIT_FLUSH GIT_TRACE
	o_scratch=$(command mktemp -d "${TMPDIR:-/tmp}/orchestra.XXXXXX") || _orchestra_fail 3 "cannot make a folder in ${TMPDIR:-/tmp}"
	trap 'command rm -rf -- "$o_scratch"' EXIT
	trap _orchestra_interrupted HUP INT TERM # an EXIT trap alone does not run in every shell when a signal ends it
	_orchestra_find_repository
}

_orchestra_interrupted() {
	[ -z "$o_job" ] || command kill -TERM "$o_job"
	_orchestra_warn 'Interrupted. Run the same command again to continue.' && exit 130
}

_orchestra_say() { command printf '%s\n' "$*"; }
_orchestra_warn() { command printf '%s\n' "$*" >&2; }

# _orchestra_fail CODE MESSAGE [HINT]: 1: not all work could be done; 2: wrong usage; 3: the environment is at fault.
_orchestra_fail() {
	_orchestra_warn "error: $2"
	[ -z "${3-}" ] || _orchestra_warn "hint: $3"
	exit "$1"
}

# _orchestra_require_supported WHAT HINT: fails if the blueprint declares WHAT, which only the tool has.
_orchestra_require_supported() { [ -z "$1" ] || _orchestra_fail 2 "the blueprint declares $1, which the script does not support" "use $2"; }

# Filters standard input: text of an agent (notes, file names, commits) must not move your cursor.
_orchestra_printable() { LC_ALL=C command tr '\000-\010\013-\037\177' '[?*]'; }

_orchestra_awk() { LC_ALL=C command awk "$@"; }

# ---- Git

# git without hooks, editors, signing and the like: nothing that you or an agent configured runs programs.
_orchestra_git() {
	GIT_TERMINAL_PROMPT=0 GIT_EDITOR=true GIT_SEQUENCE_EDITOR=true GIT_PAGER=cat GIT_NO_REPLACE_OBJECTS=1 GIT_GRAFT_FILE=/dev/null/none LC_ALL=C \
		command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.quotePath=false -c core.fsync=reference \
		-c protocol.ext.allow=never -c gc.auto=0 -c maintenance.auto=false -c commit.gpgSign=false -c log.showSignature=false -c advice.detachedHead=false -c color.ui=false -c diff.orderFile=/dev/null "$@"
}

# Names the git folder, as safe.bareRepository=explicit demands.
_orchestra_repo_git() { _orchestra_git -C "$o_common" --git-dir="$o_common" "$@"; }

# _orchestra_commit NAME, _orchestra_tree NAME: the id of its commit or tree; fails silently if there is none.
_orchestra_commit() { _orchestra_repo_git rev-parse --verify --quiet --end-of-options "$1^{commit}"; }
_orchestra_tree() { _orchestra_repo_git rev-parse --verify --quiet --end-of-options "$1^{tree}"; }
_orchestra_is_ancestor() { _orchestra_repo_git merge-base --is-ancestor "$1" "$2"; }
_orchestra_short() { command printf '%.10s\n' "$1"; }

# git's NUL-separated lists as lines, with \001 for a newline in a name.
_orchestra_lines() { command tr '\n\000' '\001\n'; }

# Sets o_common (the shared .git), o_home (the main checkout), o_state (orchestra's files), o_refs, o_remote (empty if there
# is none) and o_root (the worktrees' folder).
_orchestra_find_repository() {
	o_one=$(command pwd -P)
	until [ -z "$o_one" ] || _orchestra_exists "$o_one/.git"; do o_one=${o_one%/*}; done
	[ -d "$o_one/.git" ] || o_one=$(command cd -- "$o_one/" && command cd -- "$(_orchestra_read_file .git | command sed 's|^gitdir: ||; s|/worktrees/[^/]*$||')" && command pwd)
	_orchestra_check_special_files "${o_one%/.git}/.git"
	o_version=$(_orchestra_git version 2>&1)
	command printf '%s\n' "$o_version" | _orchestra_awk -F '[ .]' '{ exit !($3 > 2 || $3 == 2 && $4 >= 38) }' ||
		_orchestra_fail 3 "this needs git 2.38 or newer, not: $o_version"
	o_common=$(_orchestra_git rev-parse --path-format=absolute --git-common-dir) ||
		_orchestra_fail 3 "the current folder is not inside a git repository that git opens"
	o_home=${o_common%/.git}
	[ "$o_home" != "$o_common" ] || _orchestra_fail 2 "$o_common has no main checkout around it" 'use orchestra'
	o_state=$o_common/orchestra o_refs=refs/orchestra/$o_fleet
	_orchestra_check_repository
	[ -n "$o_remote" ] || o_remote=$(_orchestra_repo_git remote | command grep -x origin)
	# The name of the main checkout's folder, without what may confuse a shell or git (git_names.safe_folder_name).
	o_one=$(command printf '%s' "${o_home##*/}" | LC_ALL=C command tr -c 'A-Za-z0-9._+@\200-\377-' - | LC_ALL=C command sed 's/^[-.]*//; s/[-.]*$//; s/^$/repository/')
	case $o_root in *@repository@*) o_root=${o_root%%@repository@*}$o_one${o_root#*@repository@} ;; esac && case $o_root in /*) ;; *) o_root=$o_home/$o_root ;; esac
	[ ! -d "$o_root" ] || o_root=$(command cd -P -- "$o_root" && command pwd -P)
}

# _orchestra_check_special_files GIT-FOLDER: git waits for a pipe or device among its own files, which holds nothing. One among
# those of worktrees, refs and logs is an agent's and is removed; elsewhere it is refused.
_orchestra_check_special_files() {
	set -- "$1" \( -type p -o -type c -o -type b -o -type l \( -exec test -p {} \; -o -exec test -c {} \; -o -exec test -b {} \; \) \)
	o_one=$1 && shift
	command find "$o_one/worktrees" "$o_one/refs" "$o_one/logs" "$@" -exec rm -f -- {} + 2>/dev/null
	o_one=$(command find "$o_one/" "$o_one/objects/info" \( -name objects -o -name orchestra -o -name hooks -o -name modules -o -name lfs -o -name annex \) -prune -o "$@" -print 2>/dev/null | command head -n 1)
	[ -z "$o_one" ] || _orchestra_fail 3 "$o_one is a pipe or a device, which no git can read" "rm '$o_one'"
}

# Refuses a repository in which git would not find the checkout, or would run what an agent names.
_orchestra_check_repository() {
	_orchestra_check_special_files "$o_common"
	o_one=$(_orchestra_repo_git config --type=bool --get-regexp '^core\.bare$' | command sed -n 's/ true$//p' && _orchestra_repo_git config --name-only --get-regexp '^core\.worktree$')
	[ -z "$o_one" ] || _orchestra_fail 3 "$o_home is a checkout, but its repository sets $o_one" "git -C '$o_common' config --unset $o_one"
	o_one=$({
		_orchestra_repo_git config --list --show-scope --name-only | command sed -n 's/^local[[:space:]]*//p; s/^worktree[[:space:]]*//p'
		command find "$o_common/worktrees" -name config.worktree -type f -exec git config --file {} --list --name-only \; 2>/dev/null
	} | command grep -E -m 1 '^(filter\..*\.(clean|smudge|process)|merge\..*\.driver|diff\..*\.(command|textconv)|diff\.external|core\.(sshcommand|askpass|gitproxy|alternaterefscommand|attributesfile)|credential\.(.*\.)?helper|gpg\.(.*\.)?(program|defaultkeycommand)|remote\..*\.(uploadpack|receivepack|vcs))$')
	[ -z "$o_one" ] || _orchestra_fail 3 "the repository's own configuration, which agents can write, names a program: $o_one" 'set it in your global configuration, or use orchestra, which ignores it'
}

# _orchestra_find_target DEFAULT: sets o_target (the branch where work lands) and o_target_ref. The first spawn records the
# target, so that a later checkout does not change it; DEFAULT is for before that.
_orchestra_find_target() {
	[ -n "$o_target" ] || o_target=$(_orchestra_read_file "$o_state/fleets/$o_fleet/target") || o_target=$1
	[ -n "$o_target" ] || _orchestra_fail 3 "the branch where work lands is unknown" "orchestra_spawn, or name it in the blueprint (target: main)"
	! o_one=$(_orchestra_repo_git symbolic-ref --quiet "refs/heads/$o_target") || o_target=${o_one#refs/heads/} # refs are not followed later
	o_target_ref=refs/heads/$o_target
}

# Sets o_standards, the file of the standards: CLAUDE.local.md where the commit $1 has a CLAUDE.md of its own.
_orchestra_find_standards() {
	o_standards=CLAUDE.md
	[ -z "$(_orchestra_repo_git ls-tree --full-tree --name-only "$1" -- CLAUDE.md)" ] || o_standards=CLAUDE.local.md
}

# Makes what was written until now survive a power cut, also what the agents' own git wrote.
_orchestra_sync() { [ -n "${ORCHESTRA_NO_SYNC-}" ] || command sync -f "$o_common" 2>/dev/null || command sync; }

# _orchestra_move REF OLD NEW REASON: compare-and-swap. OLD empty: it must not exist. NEW empty: delete it.
_orchestra_move() {
	[ "$2" != "$3" ] || return 0
	{ _orchestra_sync && command printf 'option no-deref\nupdate %s "%s" "%s"\n' "$1" "$3" "$2"; } |
		_orchestra_repo_git update-ref -m "orchestra: $4" --stdin 2>"$o_scratch/move" && return 0
	_orchestra_warn "error: cannot move $1: $(command cat "$o_scratch/move")"
	return 3
}

# ---- Worktrees, as git registers them in .git/worktrees

# _orchestra_checkout BRANCH: prints the folder in which it is checked out; nothing if it is not.
_orchestra_checkout() { _orchestra_repo_git for-each-ref --format='%(worktreepath)' "refs/heads/$1"; }

# _orchestra_find_admin PATH: sets o_admin to git's own folder for the worktree at PATH; empty if there is none.
_orchestra_find_admin() {
	o_admin=
	for o_one in "$o_common"/worktrees/*; do [ "$(_orchestra_read_file "$o_one/gitdir")" != "$1/.git" ] || o_admin=$o_one; done
}

# _orchestra_unregister PATH: makes git forget the worktree of o_admin, whose folder PATH is gone.
_orchestra_unregister() {
	[ ! -e "$o_admin/locked" ] || _orchestra_repo_git worktree unlock "$1" || exit 3
	_orchestra_repo_git worktree remove "$1" || exit 3
}

# ---- Files. Those in a worktree are an agent's: no link is followed, no pipe or device opened, and size is bounded.

_orchestra_exists() { [ -e "$1" ] || [ -L "$1" ]; }
_orchestra_is_regular() { [ -f "$1" ] && [ ! -L "$1" ]; }
_orchestra_read_file() { _orchestra_is_regular "$1" && command dd if="$1" bs=65536 count=16 2>/dev/null; }

# _orchestra_write_file FILE: replaces FILE by $o_scratch/text, whole or not at all, from a new folder of its own.
_orchestra_write_file() {
	! _orchestra_exists "$1" || _orchestra_is_regular "$1" ||
		_orchestra_fail 3 "$1 is a link, a folder or a pipe, and is not replaced" "remove it, and run the same command again"
	o_temporary=${1%/*}/.orchestra-tmp
	{ command mkdir -p -- "${1%/*}" && command rm -rf -- "$o_temporary" && command mkdir -- "$o_temporary" &&
		command cp -- "$o_scratch/text" "$o_temporary/text" && command mv -f -- "$o_temporary/text" "$1" &&
		command rmdir -- "$o_temporary"; } || _orchestra_fail 3 "cannot write $1" "free some space or change its permissions"
}

# ---- Agents and their refs

# _orchestra_require_agent NAME-OR-NUMBER: sets o_number, o_agent, o_title, o_stage, o_branch, o_worktree, o_ref, o_own.
_orchestra_require_agent() {
	[ -n "$1" ] || _orchestra_fail 2 "$o_verb needs an AGENT, a name or a number" "$o_verb --help"
	o_name=$1 o_agent=
	_orchestra_agents _orchestra_pick_agent
	[ -n "$o_agent" ] || _orchestra_fail 2 "no agent '$o_name' in fleet $o_fleet" "orchestrate.sh status lists them"
}

_orchestra_pick_agent() { [ "$o_name" != "$1" ] && [ "$o_name" != "$2" ] || _orchestra_select_agent "$@"; }

# _orchestra_select_agent NUMBER NAME STAGE BRANCH FOLDER TITLE: its branch is the one that spawn created and recorded.
# shellcheck disable=SC2034 # not every script reads all of them
_orchestra_select_agent() {
	o_number=$1 o_agent=$2 o_stage=$3 o_branch=$4 o_worktree=$o_root/$5 o_title=$6
	o_ref=$o_refs/$o_agent o_own=$o_state/fleets/$o_fleet/agents/$o_agent
	! o_recorded=$(_orchestra_read_file "$o_own/branch") || o_branch=$o_recorded
}

# If o_chosen names no agent, all are chosen.
_orchestra_is_chosen() { [ -z "$o_chosen" ] || [ "$o_chosen" != "${o_chosen#*" $o_agent "}" ]; }

# Sets o_base, o_head, o_approved, o_changes, o_landed, o_discarded and o_verdict. An approval is for one commit: at any
# other head it is stale.
_orchestra_read_agent() {
	o_base=$(_orchestra_commit "$o_ref/base") o_head=$(_orchestra_commit "refs/heads/$o_branch")
	o_approved=$(_orchestra_commit "$o_ref/approved")
	o_changes=$(_orchestra_repo_git rev-parse --verify --quiet "$o_ref/changes-requested")
	o_landed=$(_orchestra_commit "$o_ref/landed") o_discarded=$(_orchestra_commit "$o_ref/discarded") o_verdict=none
	[ -z "$o_approved" ] || o_verdict=stale
	[ -z "$o_approved" ] || [ "$o_approved" != "$o_head" ] || o_verdict=approved
	[ -z "$o_changes" ] || o_verdict=answered
	[ -z "$o_changes" ] || [ "$o_head" != "$(_orchestra_commit "$o_ref/changes-requested")" ] || o_verdict=changes-requested
	[ -z "$o_discarded" ] || o_verdict=discarded
}

# How many files of the worktree differ from its head or are new; nothing if there is no worktree.
_orchestra_uncommitted() {
	[ ! -e "$o_worktree/.git" ] || _orchestra_git --no-optional-locks -C "$o_worktree" status --porcelain=v1 -z --untracked-files=normal --no-renames | _orchestra_lines | command wc -l | command tr -d ' '
}

# ---- The lock: one writer at a time, script or tool

# _orchestra_locked NAME COMMAND...: runs it in a subshell. While one process holds `lock`, no other changes refs or
# worktrees; `train/lock` is for merges. It is the tool's lock, flock(2) on the open file, which the kernel releases when
# its last process ends. NAME.holder names the process.
_orchestra_locked() (
	o_lock=$o_state/$1
	shift
	command -v flock >/dev/null || _orchestra_fail 3 'flock is missing, so no lock can be taken' 'install util-linux, or on macOS: brew install flock'
	command mkdir -p -- "${o_lock%/*}" && exec 9<>"$o_lock" || exit 3 # opened to read too: a pipe in its place must not block
	o_try=0
	until command flock -n 0 <&9; do
		o_try=$((o_try + 1))
		[ "$o_try" -lt 10 ] || _orchestra_fail 3 "another orchestra command works in $o_home: $(_orchestra_read_file "$o_lock.holder")" 'wait for it to end, or stop it'
		command sleep 1
	done
	trap 'command rm -f -- "$o_lock.holder"' EXIT
	trap _orchestra_interrupted HUP INT TERM
	command rm -f -- "$o_lock.holder" && command printf '{"pid": %s, "command": "%s", "since": %s}\n' "$$" "$o_verb" "$(command date +%s)" >"$o_lock.holder"
	"$@"
)

# ---- Commands of the blueprint

# _orchestra_run BECOME FOLDER LOG COMMAND SECONDS [VARIABLE...]: runs `sh -c COMMAND` in FOLDER with the environment that
# BECOME gives, and ends what it left running. Sets o_code and o_outcome: passed, failed, timed-out, or broken (it could
# not be tried, or a signal ended it).
_orchestra_run() {
	o_become=$1 o_folder=$2 o_output=$3 o_command=$4 o_limit=$5 o_started=$(command date +%s)
	shift 5
	command timeout -k 2 9 true || _orchestra_fail 3 'timeout is missing or too old, so commands cannot get a time limit' 'install coreutils'
	{ command cd -- "$o_folder" && "$o_become" "$(command -v setsid || command echo env)" timeout -k 2 "$o_limit" env "$@" sh -c "$o_command"; } </dev/null >>"$o_output" 2>&1 9>&- &
	o_job=$!
	wait "$o_job" 2>/dev/null
	o_code=$?
	command kill -s KILL -- "-$o_job" 2>/dev/null # setsid made it a process group; without it the timeout of coreutils did
	o_job='' o_outcome=failed
	[ "$o_code" -ne 0 ] || o_outcome=passed
	[ "$o_code" -le 127 ] && [ "$o_code" -ne 125 ] || o_outcome=broken
	# busybox says 143, as for any SIGTERM.
	[ "$o_code" -ne 124 ] && { [ "$o_code" -ne 143 ] || [ $(($(command date +%s) - o_started)) -lt "$o_limit" ]; } || o_outcome=timed-out
}
