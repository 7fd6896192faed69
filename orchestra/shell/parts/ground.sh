# ==== The ground: how every verb begins and ends; git, the repository, refs, the lock ==============================
#
# Every function that you call has its body in parentheses: it runs in a subshell, so whatever it sets, traps or
# changes ends with it, and `exit` leaves nothing but it. Variables begin with o_, so that no name of your shell's
# (zsh's `path`, a readonly of your own) is meant by accident; `command` passes over your aliases and functions.

# _orchestra_begin IDENTITY VERB WORD...: promise: a verb does the same in every shell, whatever options, variables and
# git settings it is called under. What it sets (o_fleet, o_home, o_common, o_state, o_target ...) all steps read.
_orchestra_begin() {
	[ -z "${ZSH_VERSION-}" ] || emulate sh
	set +aefmC
	set -u
	unset IFS CDPATH
	o_newline='
'
	o_escape=$(command printf '\001')
	_orchestra_declared
	[ "$1" = "$o_identity" ] || _orchestra_fail 2 "this shell holds functions of two blueprints, $1 and $o_identity" \
		"source both scripts of one blueprint again"
	o_verb=$2
	o_dry=
	case "${ORCHESTRA_DRY_RUN-}" in
	'' | 0) ;;
	*) o_dry=1 ;;
	esac
	_orchestra_scrub
	_orchestra_make_scratch
	_orchestra_find_repository
	_orchestra_find_target
}

# Promise: whatever ends the command, its temporary files go and no lock is left held.
_orchestra_make_scratch() {
	o_try=0
	until command mkdir -m 700 -- "${TMPDIR:-/tmp}/orchestra.$$.$o_try" 2>/dev/null; do
		o_try=$((o_try + 1))
		[ "$o_try" -lt 100 ] || _orchestra_fail 3 "cannot make a folder in ${TMPDIR:-/tmp}"
	done
	o_scratch=${TMPDIR:-/tmp}/orchestra.$$.$o_try
	trap 'command rm -rf -- "$o_scratch"' EXIT
	o_job=
	_orchestra_end_on_signals
}

# An EXIT trap alone does not run in every shell when a signal ends it.
_orchestra_end_on_signals() {
	trap '_orchestra_stop 129' HUP
	trap '_orchestra_stop 130' INT
	trap '_orchestra_stop 143' TERM
}

_orchestra_stop() {
	[ -z "$o_job" ] || _orchestra_kill TERM "$o_job"
	_orchestra_tell 'interrupted: run the same command again, it finishes what was begun'
	exit "$1"
}

_orchestra_say() { command printf '%s\n' "$*"; }
_orchestra_tell() { command printf '%s\n' "$*" >&2; }

# _orchestra_fail CODE WHAT [MEND]: the end of the command. 1: the work fell short; 2: what was typed is wrong;
# 3: the ground is wrong or something unexpected happened.
_orchestra_fail() {
	_orchestra_tell "error: $2"
	[ -z "${3-}" ] || _orchestra_tell "hint: $3"
	exit "$1"
}

# Promise: no text of an agent's (a note, a file name, a commit) can move your cursor or change your colours.
_orchestra_shown() { LC_ALL=C command tr '\000-\010\013-\037\177' '[?*]'; }

_orchestra_awk() { LC_ALL=C command awk "$@"; }

# _orchestra_do WORDS COMMAND...: does it, or with ORCHESTRA_DRY_RUN=1 only says what it would do.
_orchestra_do() {
	if [ -n "$o_dry" ]; then
		_orchestra_say "would $1"
		return 0
	fi
	shift
	"$@"
}

# ---- Git

# Promise: nothing that you or an agent set up sends git elsewhere or makes it run programs of theirs.
_orchestra_scrub() {
	unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_OBJECT_DIRECTORY GIT_NAMESPACE GIT_PREFIX \
		GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_CEILING_DIRECTORIES GIT_DEFAULT_HASH GIT_EXTERNAL_DIFF GIT_DIFF_OPTS \
		GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS GIT_REPLACE_REF_BASE \
		GIT_GRAFT_FILE GIT_SHALLOW_FILE GIT_QUARANTINE_PATH GIT_INTERNAL_SUPER_PREFIX GIT_REFLOG_ACTION \
		GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_DATE
}

_orchestra_git() {
	GIT_TERMINAL_PROMPT=0 GIT_EDITOR=true GIT_SEQUENCE_EDITOR=true GIT_PAGER=cat GIT_NO_REPLACE_OBJECTS=1 LC_ALL=C \
		command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.quotePath=false \
		-c protocol.ext.allow=never -c gc.auto=0 -c maintenance.auto=false -c commit.gpgSign=false \
		-c log.showSignature=false -c advice.detachedHead=false -c color.ui=false "$@"
}

# _orchestra_tip NAME: the commit that a ref or an object name peels to; fails silently where there is none.
_orchestra_tip() { _orchestra_git -C "$o_common" rev-parse --verify --quiet --end-of-options "$1^{commit}"; }

_orchestra_tree() { _orchestra_git -C "$o_common" rev-parse --verify --quiet --end-of-options "$1^{tree}"; }

# _orchestra_side TREE [-p PARENT]: a commit with that tree, by nobody in particular, at the beginning of time.
_orchestra_side() (
	export GIT_AUTHOR_NAME=orchestra GIT_AUTHOR_EMAIL=orchestra@localhost GIT_AUTHOR_DATE='@0 +0000' \
		GIT_COMMITTER_NAME=orchestra GIT_COMMITTER_EMAIL=orchestra@localhost GIT_COMMITTER_DATE='@0 +0000'
	_orchestra_git -C "$o_common" commit-tree -m 'a tree of orchestra' "$@"
)

_orchestra_is_ancestor() { _orchestra_git -C "$o_common" merge-base --is-ancestor "$1" "$2"; }

# ---- The repository around the current folder, and its target

# Sets o_common (its shared .git), o_home (its main checkout), o_state (what orchestra keeps beside the refs) and
# o_root (where its worktrees are). The dot keeps a newline at the end of a folder's name from being lost.
_orchestra_find_repository() {
	_orchestra_check_git
	o_common=$(_orchestra_git rev-parse --path-format=absolute --git-common-dir 2>/dev/null && command printf .) ||
		_orchestra_fail 3 "the current folder is not inside a git repository" "cd into one"
	o_common=${o_common%"$o_newline".}
	o_home=$(_orchestra_git -C "$o_common" worktree list --porcelain -z | command tr '\n\000' '\001\n' |
		command sed -n '1s/^worktree //p' | command tr '\001' '\n' && command printf .)
	o_home=${o_home%"$o_newline".}
	[ "$(_orchestra_git -C "$o_common" rev-parse --is-bare-repository)" = false ] || o_home=$o_common
	o_state=$o_common/orchestra
	o_refs=refs/orchestra/$o_fleet
	case $o_root in
	/*) ;;
	*) o_root=$o_home/$o_root ;;
	esac
	_orchestra_normalize
}

# Takes // and . and .. out of o_root.
_orchestra_normalize() {
	o_rest=$o_root/
	o_root=
	while [ -n "$o_rest" ]; do
		case ${o_rest%%/*} in
		'' | .) ;;
		..) o_root=${o_root%/*} ;;
		*) o_root=$o_root/${o_rest%%/*} ;;
		esac
		o_rest=${o_rest#*/}
	done
}

_orchestra_check_git() {
	o_version=$(_orchestra_git version 2>/dev/null) || _orchestra_fail 3 "cannot start git" "install git 2.38 or newer"
	o_version=${o_version#git version }
	o_minor=${o_version#*.}
	o_minor=${o_minor%%.*}
	[ "${o_version%%.*}" -gt 2 ] || { [ "${o_version%%.*}" -eq 2 ] && [ "$o_minor" -ge 38 ]; } ||
		_orchestra_fail 3 "git $o_version is too old" "install git 2.38 or newer"
}

# Sets o_target (the branch where work lands) and o_remote (empty where there is none).
_orchestra_find_target() {
	if [ -z "$o_remote" ] && _orchestra_git -C "$o_home" remote | command grep -qx origin; then
		o_remote=origin
	fi
	[ -z "$o_remote" ] || _orchestra_git -C "$o_home" remote | command grep -qx -e "$o_remote" ||
		_orchestra_fail 3 "$o_home has no remote $o_remote" "git remote add $o_remote URL"
	[ -n "$o_target" ] || _orchestra_spawned_target
	[ -n "$o_target" ] || [ -z "$o_remote" ] || _orchestra_remote_default
	[ -n "$o_target" ] || o_target=$(_orchestra_git -C "$o_home" symbolic-ref --quiet --short HEAD) ||
		_orchestra_fail 3 "HEAD is detached in $o_home, so the target cannot be told" \
			"name the branch where work lands in the blueprint, or check one out"
	o_target_ref=refs/heads/$o_target
}

# The first spawn settles it: which branch somebody checks out later must not decide where the work lands.
_orchestra_spawned_target() {
	[ ! -f "$o_state/fleets/$o_fleet/target" ] || read -r o_target <"$o_state/fleets/$o_fleet/target" || :
}

_orchestra_remote_default() {
	o_target=$(_orchestra_git -C "$o_home" symbolic-ref --quiet "refs/remotes/$o_remote/HEAD") || o_target=
	o_target=${o_target#"refs/remotes/$o_remote/"}
}

# _orchestra_real PATH: the path without links, as far as it is there.
_orchestra_real() {
	o_here=$1
	o_missing=
	while [ ! -d "$o_here" ]; do
		o_missing=/${o_here##*/}$o_missing
		o_here=${o_here%/*}
		o_here=${o_here:-/}
	done
	o_here=$(command cd -P -- "$o_here" && command pwd -P && command printf .)
	o_here=${o_here%"$o_newline".}
	command printf '%s\n' "${o_here%/}$o_missing"
}

# _orchestra_is_inside FOLDER PARENT: a link in between may lead out.
_orchestra_is_inside() {
	case "$(_orchestra_real "$1")/" in
	"$(_orchestra_real "$2")"/*) ;;
	*) return 1 ;;
	esac
}

_orchestra_exists() { [ -e "$1" ] || [ -L "$1" ]; }

# Sets o_path from o_field, a name from a list in which \001 stands for a newline.
_orchestra_decode() {
	o_path=$(command printf '%s.' "$o_field" | command tr '\001' '\n')
	o_path=${o_path%.}
}

# Text as the inside of a JSON string.
_orchestra_json() {
	_orchestra_awk 'NR > 1 { printf "\\n" } { gsub(/\\/, "&&"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); gsub(/\r/, "\\r")
		gsub(/[\001-\037]/, "?"); printf "%s", $0 }'
}

# _orchestra_put_file TARGET: the text, whole or not at all.
_orchestra_put_file() {
	{ command mkdir -p -- "${1%/*}" && command cp -- "$o_scratch/text" "$1.orchestra" && command mv -f -- "$1.orchestra" "$1"; } ||
		_orchestra_fail 3 "cannot write $1" "make space or change its rights, and run the same command again"
}

# ---- Worktrees, as git has them registered

# _orchestra_checkouts BRANCH: the folders in which it is checked out.
_orchestra_checkouts() {
	_orchestra_git -C "$o_common" worktree list --porcelain -z | command tr '\n\000' '\001\n' |
		ORCHESTRA_BRANCH="branch refs/heads/$1" LC_ALL=C command awk \
			'sub(/^worktree /, "") { place = $0 } $0 == ENVIRON["ORCHESTRA_BRANCH"] { print place }' | command tr '\001' '\n'
}

# _orchestra_find_admin PATH: sets o_admin to the folder that git keeps for the worktree at PATH; empty without one.
_orchestra_find_admin() {
	o_admin=
	for o_one in "$o_common"/worktrees/*; do
		[ "$(command cat -- "$o_one/gitdir" 2>/dev/null)" != "$1/.git" ] || o_admin=$o_one
	done
}

# _orchestra_point ADMIN PATH: registers a worktree at another path.
_orchestra_point() {
	command printf '%s/.git\n' "$2" >"$1/gitdir.orchestra" && command mv -f -- "$1/gitdir.orchestra" "$1/gitdir" || exit 3
}

# ---- Agents

# _orchestra_require_agent NAME-OR-NUMBER: sets o_number, o_agent, o_title, o_stage, o_branch, o_worktree, o_ref.
_orchestra_require_agent() {
	o_wanted=$1
	o_agent=
	_orchestra_agents _orchestra_pick
	[ -n "$o_agent" ] || _orchestra_fail 2 "no agent '$o_wanted' in fleet $o_fleet" "orchestra_agents lists them"
}

_orchestra_pick() {
	case "$o_wanted" in
	"$1" | "$2") _orchestra_use "$@" ;;
	esac
}

# _orchestra_use NUMBER NAME STAGE BRANCH FOLDER TITLE: the agent that the steps are about.
# shellcheck disable=SC2034 # the number and the title are not asked for in every script
_orchestra_use() {
	o_number=$1
	o_agent=$2
	o_stage=$3
	o_branch=$4
	o_worktree=$o_root/$5
	o_title=$6
	o_ref=$o_refs/$o_agent
}

# ---- Refs: refs/orchestra/FLEET/AGENT/* are the only truth, and they move by compare-and-swap only

# _orchestra_move REF OLD NEW WHY: OLD empty: it must not exist. NEW empty: delete it. A failure is re-read before it is
# believed: packing refs at the same time makes git report a moved ref that has not moved.
_orchestra_move() {
	[ "$2" != "$3" ] || return 0
	for o_try in 1 2 3 4 5; do
		if [ -n "$3" ]; then
			_orchestra_git -C "$o_common" update-ref -m "orchestra: $4" "$1" "$3" "$2" 2>"$o_scratch/move" && return 0
		else
			_orchestra_git -C "$o_common" update-ref -m "orchestra: $4" -d "$1" "$2" 2>"$o_scratch/move" && return 0
		fi
		o_found=$(_orchestra_git -C "$o_common" rev-parse --verify --quiet "$1") || o_found=
		[ "$o_found" = "$2" ] || break
	done
	[ "$o_found" = "$2" ] || _orchestra_tell "error: $1 is at ${o_found:-nothing}, not at ${2:-nothing} as expected"
	[ "$o_found" != "$2" ] || command cat "$o_scratch/move" >&2
	return 3
}

# _orchestra_find_standards BASE: sets o_standards, where the standards go: a CLAUDE.md of the repository's own is left as
# it is, and ours goes beside it.
_orchestra_find_standards() {
	o_standards=CLAUDE.md
	[ -z "$(_orchestra_git -C "$o_common" ls-tree --full-tree --name-only "$1" -- CLAUDE.md)" ] || o_standards=CLAUDE.local.md
}

# _orchestra_ref KIND: the commit that this ref of the agent in use names, or nothing.
_orchestra_ref() { _orchestra_tip "$o_ref/$1" || command :; }

# _orchestra_work_commit TREE [-p PARENT]...: prints a commit that keeps work nobody has committed.
_orchestra_work_commit() (
	export GIT_AUTHOR_NAME=orchestra GIT_AUTHOR_EMAIL=orchestra@localhost \
		GIT_COMMITTER_NAME=orchestra GIT_COMMITTER_EMAIL=orchestra@localhost
	_orchestra_git -C "$o_common" commit-tree -m "uncommitted work of $o_agent" "$@"
)

# _orchestra_save COMMIT: under the first free refs/orchestra/FLEET/AGENT/saved/N, unless one of them holds the same.
_orchestra_save() {
	o_free=1
	while o_known=$(_orchestra_tip "$o_ref/saved/$o_free"); do
		[ "$(_orchestra_git -C "$o_common" log -1 --format='%T %P' "$o_known")" != \
			"$(_orchestra_git -C "$o_common" log -1 --format='%T %P' "$1")" ] || return 0
		o_free=$((o_free + 1))
	done
	_orchestra_move "$o_ref/saved/$o_free" '' "$1" 'save uncommitted work' || exit
	_orchestra_say "$o_agent: uncommitted work is saved as $o_ref/saved/$o_free"
}

# ---- The lock: one writer at a time, script or tool

# _orchestra_locked COMMAND...: runs it, in a subshell, while no other orchestra command changes refs or worktrees.
_orchestra_locked() (
	command mkdir -p -- "$o_state" && exec 9>>"$o_state/lock" || exit 3
	_orchestra_hold "$o_state/lock" <&9
	"$@"
)

# _orchestra_hold FILE <&FD: promise: a dead holder is no obstacle. The lock is the tool's own, an flock(2) on the open
# file, which the kernel takes back when its last process is gone; flock(1) or perl take it here. Where a machine has
# neither, a symbolic link that names our process stands in: the tool and every script honour it, and one left behind
# is removed by hand, since no shell can do that without a race. FILE.holder tells people who works here.
_orchestra_hold() {
	o_lock=$1
	o_pid=$(exec sh -c 'echo "$PPID"')
	o_link=
	o_patience=10
	until _orchestra_try_lock; do
		o_patience=$((o_patience - 1))
		[ "$o_patience" -gt 0 ] || _orchestra_fail 3 "another orchestra command works in $o_home: $o_holder" "$o_mend"
		command sleep 1
	done
}

_orchestra_try_lock() {
	o_holder=$(command cat -- "$o_lock.holder" 2>/dev/null) || o_holder='it has just begun'
	o_mend='wait for it to end, or stop it; a dead holder is no obstacle'
	if command -v flock >/dev/null 2>&1; then
		command flock -n 0 || return 1
	elif command -v perl >/dev/null 2>&1; then
		command perl -e 'use Fcntl ":flock"; exit !flock(STDIN, LOCK_EX | LOCK_NB)' || return 1
	else
		_orchestra_try_link || return 1
	fi
	trap 'command rm -f -- "$o_lock.holder" ${o_link:+"$o_link"}' EXIT
	_orchestra_end_on_signals
	command printf '{"pid": %s, "command": "%s", "since": %s}\n' "$o_pid" "$o_verb" "$(command date +%s)" >"$o_lock.holder"
	[ -n "$o_link" ] || _orchestra_no_link || return 1
}

# Both sides announce themselves first and look at the other then, so that one of two at least sees the other.
_orchestra_try_link() {
	if ! command ln -s "$o_pid $(command uname -n) $o_verb" "$o_lock.link" 2>/dev/null; then
		o_holder="process $(command readlink "$o_lock.link")"
		o_mend="if no such process runs any more: rm $o_lock.link"
		return 1
	fi
	o_tool=$(command sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$o_lock.holder" 2>/dev/null)
	if [ -n "$o_tool" ] && command kill -0 "$o_tool" 2>/dev/null; then
		command rm -f -- "$o_lock.link"
		return 1
	fi
	o_link=$o_lock.link
}

_orchestra_no_link() {
	o_other=$(command readlink "$o_lock.link") || return 0
	o_other_host=${o_other#* }
	if [ "${o_other_host%% *}" = "$(command uname -n)" ] && ! command kill -0 "${o_other%% *}" 2>/dev/null; then
		command rm -f -- "$o_lock.link"
		return 0
	fi
	command rm -f -- "$o_lock.holder"
	o_holder="process $o_other"
	return 1
}
