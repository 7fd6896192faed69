# ==== Shared by both scripts: start and end of a command, git, files, agents, the lock =============================
#
# Every function that you call has its body in parentheses, so variables, traps and options end with its subshell.
# Variables begin with o_; `command` bypasses your aliases and functions.

# _orchestra_begin IDENTITY VERB: the same behaviour in every shell, whatever its options, variables and git settings.
_orchestra_begin() {
	[ -z "${ZSH_VERSION-}" ] || emulate sh
	set +aefmC
	set -u
	unset IFS CDPATH
	o_newline=$(command printf '\n.')
	o_newline=${o_newline%.}
	_orchestra_declared
	[ "$1" = "$o_identity" ] || _orchestra_fail 2 "this shell holds functions of two blueprints, $1 and $o_identity" \
		"source both scripts of one blueprint again"
	o_verb=$2
	o_dry=${ORCHESTRA_DRY_RUN-}
	o_dry=${o_dry#0}
	unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_OBJECT_DIRECTORY GIT_NAMESPACE GIT_PREFIX \
		GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_CEILING_DIRECTORIES GIT_DEFAULT_HASH GIT_EXTERNAL_DIFF GIT_DIFF_OPTS \
		GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS GIT_REPLACE_REF_BASE \
		GIT_GRAFT_FILE GIT_SHALLOW_FILE GIT_QUARANTINE_PATH GIT_INTERNAL_SUPER_PREFIX GIT_REFLOG_ACTION \
		GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_DATE
	o_try=0
	until o_scratch=${TMPDIR:-/tmp}/orchestra.$$.$o_try && command mkdir -m 700 -- "$o_scratch" 2>/dev/null; do
		[ "$o_try" -lt 100 ] || _orchestra_fail 3 "cannot make a folder in ${TMPDIR:-/tmp}"
		o_try=$((o_try + 1))
	done
	o_job=
	trap 'command rm -rf -- "$o_scratch"' EXIT
	_orchestra_exit_on_signals
	_orchestra_find_repository
	_orchestra_find_target
}

# An EXIT trap alone does not run in every shell when a signal ends it.
_orchestra_exit_on_signals() {
	trap '_orchestra_interrupted 129' HUP
	trap '_orchestra_interrupted 130' INT
	trap '_orchestra_interrupted 143' TERM
}

_orchestra_interrupted() {
	[ -z "$o_job" ] || command kill -TERM "$o_job"
	_orchestra_warn 'Interrupted. Run the same command again to continue.'
	exit "$1"
}

_orchestra_say() { command printf '%s\n' "$*"; }
_orchestra_warn() { command printf '%s\n' "$*" >&2; }

# _orchestra_fail CODE MESSAGE [HINT]: 1: not all work could be done; 2: wrong usage; 3: the environment is at fault.
_orchestra_fail() {
	_orchestra_warn "error: $2${3:+${o_newline-: }hint: $3}"
	exit "$1"
}

# Filters standard input: text of an agent (notes, file names, commits) must not move your cursor.
_orchestra_printable() { LC_ALL=C command tr '\000-\010\013-\037\177' '[?*]'; }

_orchestra_awk() { LC_ALL=C command awk "$@"; }

# _orchestra_do TEXT COMMAND...: runs COMMAND; with ORCHESTRA_DRY_RUN=1 it only prints TEXT.
_orchestra_do() {
	[ -z "$o_dry" ] || { _orchestra_say "would $1" && return; }
	shift
	"$@"
}

# ---- Git

# git without hooks, editors, signing and the like: nothing that you or an agent configured runs programs.
_orchestra_git() {
	GIT_TERMINAL_PROMPT=0 GIT_EDITOR=true GIT_SEQUENCE_EDITOR=true GIT_PAGER=cat GIT_NO_REPLACE_OBJECTS=1 LC_ALL=C \
		command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.quotePath=false \
		-c protocol.ext.allow=never -c gc.auto=0 -c maintenance.auto=false -c commit.gpgSign=false \
		-c log.showSignature=false -c advice.detachedHead=false -c color.ui=false "$@"
}

_orchestra_repo_git() { _orchestra_git -C "$o_common" "$@"; }

# _orchestra_commit NAME, _orchestra_tree NAME: the id of its commit or tree; fails silently if there is none.
_orchestra_commit() { _orchestra_repo_git rev-parse --verify --quiet --end-of-options "$1^{commit}"; }
_orchestra_tree() { _orchestra_repo_git rev-parse --verify --quiet --end-of-options "$1^{tree}"; }
_orchestra_is_ancestor() { _orchestra_repo_git merge-base --is-ancestor "$1" "$2"; }
_orchestra_short() { command printf '%.10s\n' "$1"; }

# git's NUL-separated lists as lines, with \001 for a newline in a name. _orchestra_decode sets o_path from o_field.
_orchestra_lines() { command tr '\n\000' '\001\n'; }
_orchestra_decode() {
	o_path=$(command printf '%s.' "$o_field" | command tr '\001' '\n')
	o_path=${o_path%.}
}

# Sets o_common (the shared .git), o_home (the main checkout), o_state (orchestra's files), o_refs and o_root (the
# worktrees' folder). The dot keeps a newline at the end of a folder's name.
_orchestra_find_repository() {
	o_version=$(_orchestra_git version 2>/dev/null) || _orchestra_fail 3 "cannot start git" "install git 2.38 or newer"
	command printf '%s\n' "$o_version" | _orchestra_awk -F '[ .]' '{ exit !($3 > 2 || $3 == 2 && $4 >= 38) }' ||
		_orchestra_fail 3 "$o_version is too old" "install git 2.38 or newer"
	o_common=$(_orchestra_git rev-parse --path-format=absolute --git-common-dir 2>/dev/null && command printf .) ||
		_orchestra_fail 3 "the current folder is not inside a git repository" "cd into one"
	o_common=${o_common%"$o_newline".}
	o_home=$(_orchestra_repo_git worktree list --porcelain -z | _orchestra_lines |
		command sed -n '1s/^worktree //p' | command tr '\001' '\n' && command printf .)
	o_home=${o_home%"$o_newline".}
	[ "$(_orchestra_repo_git rev-parse --is-bare-repository)" = false ] || o_home=$o_common
	o_state=$o_common/orchestra
	o_refs=refs/orchestra/$o_fleet
	[ "$o_root" != "${o_root#/}" ] || o_root=$o_home/$o_root
	_orchestra_resolve "$o_root"
	o_root=$o_real
}

# Sets o_target (the branch where work lands), o_target_ref and o_remote (empty if there is none). The first spawn
# records the target, so that a later checkout does not change it.
_orchestra_find_target() {
	_orchestra_git -C "$o_home" remote >"$o_scratch/remotes"
	[ -n "$o_remote" ] || ! command grep -qx origin "$o_scratch/remotes" || o_remote=origin
	[ -z "$o_remote" ] || command grep -qxF -e "$o_remote" "$o_scratch/remotes" ||
		_orchestra_fail 3 "$o_home has no remote $o_remote" "git remote add $o_remote URL"
	[ -n "$o_target" ] || ! _orchestra_is_regular "$o_state/fleets/$o_fleet/target" || read -r o_target <"$o_state/fleets/$o_fleet/target" || :
	if [ -z "$o_target" ] && [ -n "$o_remote" ]; then
		o_target=$(_orchestra_git -C "$o_home" symbolic-ref --quiet "refs/remotes/$o_remote/HEAD") || o_target=
		o_target=${o_target#"refs/remotes/$o_remote/"}
	fi
	[ -n "$o_target" ] || o_target=$(_orchestra_git -C "$o_home" symbolic-ref --quiet --short HEAD) ||
		_orchestra_fail 3 "HEAD is detached in $o_home, so the target is unknown" "name it in the blueprint (target: main)"
	o_target_ref=refs/heads/$o_target
	! _orchestra_repo_git symbolic-ref --quiet "$o_target_ref" >/dev/null ||
		_orchestra_fail 3 "the target $o_target is a symbolic ref" "name the branch itself in the blueprint"
}

# _orchestra_checkouts BRANCH: the folders in which it is checked out, one a line, \001 for a newline.
_orchestra_checkouts() {
	_orchestra_repo_git worktree list --porcelain -z | _orchestra_lines | ORCHESTRA_BRANCH="branch refs/heads/$1" \
		_orchestra_awk 'sub(/^worktree /, "") { place = $0 } $0 == ENVIRON["ORCHESTRA_BRANCH"] { print place }'
}

# _orchestra_find_admin PATH: sets o_admin to git's own folder for the worktree at PATH; empty if there is none.
_orchestra_find_admin() {
	o_admin=
	for o_one in "$o_common"/worktrees/*; do
		[ "$(command cat -- "$o_one/gitdir" 2>/dev/null)" != "$1/.git" ] || o_admin=$o_one
	done
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

# _orchestra_resolve PATH: sets o_real, the path without symbolic links and .. as far as it exists.
_orchestra_resolve() {
	o_existing=$1
	o_missing=
	while [ ! -d "$o_existing" ]; do
		o_missing=/${o_existing##*/}$o_missing
		o_existing=${o_existing%/*}
		o_existing=${o_existing:-/}
	done
	o_existing=$(command cd -P -- "$o_existing" && command pwd -P && command printf .)
	o_existing=${o_existing%"$o_newline".}
	o_real=${o_existing%/}$o_missing
}

# ---- Agents and their refs

# _orchestra_require_agent NAME-OR-NUMBER: sets o_number, o_agent, o_title, o_stage, o_branch, o_worktree, o_ref, o_own.
_orchestra_require_agent() {
	[ -n "$1" ] || _orchestra_fail 2 "$o_verb needs an AGENT, a name or a number" "$o_verb --help"
	o_name=$1
	o_agent=
	_orchestra_agents _orchestra_pick_agent
	[ -n "$o_agent" ] || _orchestra_fail 2 "no agent '$o_name' in fleet $o_fleet" "orchestra_agents lists them"
}

_orchestra_pick_agent() { [ "$o_name" != "$1" ] && [ "$o_name" != "$2" ] || _orchestra_select_agent "$@"; }

# _orchestra_select_agent NUMBER NAME STAGE BRANCH FOLDER TITLE
# shellcheck disable=SC2034 # not every script reads all of them
_orchestra_select_agent() {
	o_number=$1 o_agent=$2 o_stage=$3 o_branch=$4 o_worktree=$o_root/$5 o_title=$6
	o_ref=$o_refs/$o_agent
	o_own=$o_state/fleets/$o_fleet/agents/$o_agent
}

# If o_chosen names no agent, all are chosen.
_orchestra_is_chosen() { [ -z "$o_chosen" ] || [ "$o_chosen" != "${o_chosen#*" $o_agent "}" ]; }

# Sets o_base, o_head, o_approved, o_changes, o_landed, o_discarded, o_work (the commit that is to land) and o_verdict.
# An approval is for one commit: the head, or what the tool proposed for that head. At any other head it is stale.
_orchestra_read_agent() {
	o_base=$(_orchestra_commit "$o_ref/base") || o_base=
	o_approved=$(_orchestra_commit "$o_ref/approved") || o_approved=
	o_changes=$(_orchestra_repo_git rev-parse --verify --quiet "$o_ref/changes-requested") || o_changes=
	o_landed=$(_orchestra_commit "$o_ref/landed") || o_landed=
	o_discarded=$(_orchestra_commit "$o_ref/discarded") || o_discarded=
	o_head=$(_orchestra_commit "refs/heads/$o_branch") || o_head=
	o_work=$o_head
	[ -z "$o_approved" ] || [ "$o_approved" != "$(_orchestra_commit "$o_ref/proposed")" ] ||
		[ "$(_orchestra_commit "$o_approved^1")" != "${o_head:-gone}" ] || o_work=$o_approved
	o_verdict=none
	[ -z "$o_approved" ] || o_verdict=stale
	[ -z "$o_approved" ] || { [ "$o_approved" != "$o_work" ] && [ -z "$o_landed" ]; } || o_verdict=approved
	[ -z "$o_changes" ] || o_verdict=changes-requested
	[ -z "$o_discarded" ] || o_verdict=discarded
}

# How many files of the worktree differ from its head or are new; nothing if there is no worktree.
_orchestra_uncommitted() (
	export GIT_OPTIONAL_LOCKS=0
	[ ! -e "$o_worktree/.git" ] || _orchestra_git -C "$o_worktree" status --porcelain=v1 -z --untracked-files=normal \
		--no-renames | _orchestra_lines | command wc -l | command tr -d ' '
)

# _orchestra_count FROM TO: the number of commits that TO has and FROM lacks.
_orchestra_count() { _orchestra_repo_git rev-list --count "$1..$2" -- 2>/dev/null || command echo '?'; }

# _orchestra_move REF OLD NEW REASON: compare-and-swap. OLD empty: it must not exist. NEW empty: delete it. A failure is
# tried again while the ref is as expected: git can fail while another process packs refs.
_orchestra_move() {
	[ "$2" != "$3" ] || return 0
	for o_try in 1 2 3 4 5; do
		if [ -n "$3" ]; then set -- "$1" "$2" "$3" "$4" "$1" "$3" "$2"; else set -- "$1" "$2" "$3" "$4" -d "$1" "$2"; fi
		_orchestra_repo_git update-ref --no-deref -m "orchestra: $4" "$5" "$6" "$7" 2>"$o_scratch/move" && return 0
		o_value=$(_orchestra_repo_git rev-parse --verify --quiet "$1") || o_value=
		[ "$o_value" = "$2" ] || break
	done
	_orchestra_warn "error: cannot move $1, which is at ${o_value:-nothing}: $(command cat "$o_scratch/move")"
	return 3
}

# Sets o_standards, the file of the standards: CLAUDE.local.md where the commit $1 has a CLAUDE.md of its own.
_orchestra_find_standards() {
	o_standards=CLAUDE.md
	[ -z "$(_orchestra_repo_git ls-tree --full-tree --name-only "$1" -- CLAUDE.md)" ] || o_standards=CLAUDE.local.md
}

# ---- The lock: one writer at a time, script or tool

# _orchestra_locked COMMAND...: runs it in a subshell while no other orchestra command changes refs or worktrees.
_orchestra_locked() (
	command mkdir -p -- "$o_state" && exec 9>>"$o_state/lock" || exit 3
	_orchestra_take_lock "$o_state/lock" <&9
	"$@"
)

# _orchestra_take_lock FILE <&FD: the lock is the tool's, flock(2) on the open file, which the kernel releases when its
# last process ends. FILE.holder names the process.
_orchestra_take_lock() {
	o_lock=$1
	o_try=0
	if command -v flock >/dev/null 2>&1; then
		set -- flock -n 0
	else
		command -v perl >/dev/null 2>&1 || _orchestra_fail 3 'no lock can be taken: flock and perl are missing' 'install one of them'
		set -- perl -e 'use Fcntl ":flock"; exit !flock(STDIN, LOCK_EX | LOCK_NB)'
	fi
	until command "$@"; do
		o_try=$((o_try + 1))
		[ "$o_try" -lt 10 ] || _orchestra_fail 3 "another orchestra command works in $o_home: $(command cat -- "$o_lock.holder" 2>/dev/null)" \
			'wait for it to end, or stop it'
		command sleep 1
	done
	trap 'command rm -f -- "$o_lock.holder"' EXIT
	_orchestra_exit_on_signals
	command printf '{"pid": %s, "command": "%s", "since": %s}\n' "$(exec sh -c 'echo "$PPID"')" "$o_verb" \
		"$(command date +%s)" >"$o_lock.holder"
}

# ---- Commands of the blueprint: with a time limit, in a process group that ends with them or with the script

# _orchestra_run BECOME FOLDER LOG SECONDS COMMAND [VARIABLE...]: runs `sh -c COMMAND` in FOLDER with the environment that
# BECOME gives. Sets o_code and o_outcome: passed, failed, timed-out, or broken (could not be tried, or killed by a signal).
_orchestra_run() {
	o_become=$1 o_folder=$2 o_output=$3 o_limit=$4 o_command=$5
	shift 5
	set -- env "$@" sh -c "$o_command"
	if command -v perl >/dev/null 2>&1; then
		# shellcheck disable=SC2016 # these variables are perl's
		set -- perl -e '$end = time + shift; $owner = getppid; $job = fork; if (!$job) { setpgrp; exec @ARGV; exit 127 }
			sub stop { kill "TERM", -$job; sleep 2; kill "KILL", -$job } $SIG{$_} = sub { stop; exit 143 } for qw(HUP INT TERM);
			while (!waitpid($job, 1)) { select undef, undef, undef, 0.05; $late = 1, stop if time > $end; stop if getppid != $owner }
			$code = $?; kill "KILL", -$job; exit($late ? 124 : $code & 127 ? 128 + ($code & 127) : $code >> 8)' "$o_limit" "$@"
	elif command -v timeout >/dev/null 2>&1; then
		set -- timeout -k 2 "$o_limit" "$@"
	else
		_orchestra_fail 3 'commands cannot get a time limit: perl and timeout are missing' 'install one of them'
	fi
	{ command cd -- "$o_folder" && "$o_become" "$@"; } </dev/null >>"$o_output" 2>&1 8>&- 9>&- &
	o_job=$!
	wait "$o_job" 2>/dev/null
	o_code=$?
	o_job=
	case $o_code in
	0) o_outcome=passed ;;
	124) o_outcome=timed-out ;;
	*) o_outcome=failed ;;
	esac
	[ "$o_code" -le 127 ] && [ "$o_code" -ne 125 ] || o_outcome=broken
}
