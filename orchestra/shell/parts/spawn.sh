# ==== Spawn, step by step ==========================================================================================
#
# Promises: nothing is made while anything refuses; the base is pinned once for the whole fleet; a worktree appears whole
# or not at all; what somebody else made or wrote stays as it is and is named; a run after a kill does what is left.

# _orchestra_spawn [AGENT...]
_orchestra_spawn() {
	o_chosen=
	for o_name in "$@"; do
		_orchestra_require_agent "$o_name"
		o_chosen="$o_chosen $o_agent "
	done
	if [ -n "$o_dry" ]; then
		_orchestra_spawn_all
	else
		_orchestra_locked _orchestra_spawn_all
	fi
}

_orchestra_spawn_all() {
	o_failed=
	_orchestra_find_base
	_orchestra_find_belongings
	_orchestra_refuse_problems
	_orchestra_do "remember $o_fleet as the fleet spawned last" _orchestra_remember
	_orchestra_each_living _orchestra_pin
	_orchestra_each_living _orchestra_make_branch
	_orchestra_do 'hide the instruction files from git status, in the worktrees of this fleet' _orchestra_hide
	_orchestra_each_living _orchestra_place
	_orchestra_each_living _orchestra_set_up
	_orchestra_tell_next
	[ -z "$o_failed" ] || exit 1
}

# _orchestra_each_living STEP: for every chosen agent that has neither landed nor been discarded.
_orchestra_each_living() {
	o_each=$1
	_orchestra_agents _orchestra_if_living
}

_orchestra_if_living() {
	_orchestra_use "$@"
	case "${o_chosen:- $o_agent }" in
	*" $o_agent "*) ;;
	*) return 0 ;;
	esac
	_orchestra_read
	[ -n "$o_landed$o_discarded" ] || "$o_each"
}

# Sets o_start, the commit that the fleet starts from (the one that it started from already, else the target's newest, be
# that here or on the remote), and o_standards: a repository with a CLAUDE.md of its own keeps it, and ours goes beside.
_orchestra_find_base() {
	o_start=
	_orchestra_agents _orchestra_adopt_base
	if [ -z "$o_start" ]; then
		o_start=$(_orchestra_tip "$o_target_ref") || o_start=
		o_theirs=$(_orchestra_tip "refs/remotes/${o_remote:-.}/$o_target") || o_theirs=
		[ -n "$o_start" ] || o_start=$o_theirs
		[ -z "$o_theirs" ] || ! _orchestra_is_ancestor "$o_start" "$o_theirs" || o_start=$o_theirs
	fi
	[ -n "$o_start" ] || _orchestra_fail 3 "$o_target has no commit yet, so there is nothing to start from" \
		"make a first commit"
	_orchestra_find_standards "$o_start"
}

_orchestra_adopt_base() {
	[ -n "$o_start" ] || o_start=$(_orchestra_tip "$o_refs/$2/base") || o_start=
}

# ---- What could refuse, looked at before anything is made, and told at once

_orchestra_refuse_problems() {
	: >"$o_scratch/problems"
	_orchestra_root_problems
	_orchestra_instructions _orchestra_git --literal-pathspecs -C "$o_common" ls-tree --full-tree --name-only "$o_start" -- |
		command grep -vx 'CLAUDE\.md' | command sed 's/$/: the repository tracks it, and it would be overwritten/' \
		>>"$o_scratch/problems"
	_orchestra_each_living _orchestra_branch_problems
	_orchestra_each_living _orchestra_folder_problems
	[ -s "$o_scratch/problems" ] || return 0
	command sed 's/^/error: /' "$o_scratch/problems" >&2
	exit 3
}

_orchestra_problem() { command printf '%s\n' "$*" >>"$o_scratch/problems"; }

_orchestra_root_problems() {
	case "$o_home/" in
	"$o_root"/*) _orchestra_problem "worktrees.root is $o_root, which holds the repository itself: name a folder beside it" ;;
	esac
	case "$o_root/" in
	"$o_common"/*) _orchestra_problem "worktrees.root is $o_root, inside $o_common: name a folder beside the repository" ;;
	"$o_home"/*)
		_orchestra_git -C "$o_home" check-ignore --quiet --no-index -- "${o_root#"$o_home"/}/file" ||
			_orchestra_problem "worktrees.root $o_root is inside the checkout and not ignored, so its files would be" \
				"committed: add /${o_root#"$o_home"/}/ to .gitignore, or name a folder beside $o_home"
		;;
	esac
}

_orchestra_branch_problems() {
	[ -n "$o_base" ] || [ -z "$o_head" ] ||
		_orchestra_problem "the branch $o_branch of agent $o_agent exists and is not ours: rename it" \
			"(git branch -m $o_branch OTHER), or change worktrees.branch"
	o_beside=$(_orchestra_git -C "$o_common" for-each-ref --count=1 --format='%(refname:short)' "refs/heads/$o_branch/")
	o_above=$o_branch
	while [ -z "$o_beside" ] && [ "$o_above" != "${o_above%/*}" ]; do
		o_above=${o_above%/*}
		! _orchestra_tip "refs/heads/$o_above" >/dev/null || o_beside=$o_above
	done
	[ -z "$o_beside" ] || _orchestra_problem "the branch $o_branch of agent $o_agent cannot be beside the branch" \
		"$o_beside: rename one of them"
	_orchestra_find_places
	o_elsewhere=$(_orchestra_checkouts "$o_branch" | command grep -vxF -e "$o_place" -e "$o_staged") || return 0
	_orchestra_problem "the branch $o_branch of agent $o_agent is checked out at $o_elsewhere: check out another one there"
}

_orchestra_folder_problems() {
	_orchestra_find_places
	case "$o_place/" in
	"$o_real_root"/*) ;;
	*) _orchestra_problem "$o_worktree, the worktree of agent $o_agent, would lie outside $o_root: a link leads out" ;;
	esac
	_orchestra_find_admin "$o_place"
	if [ -n "$o_admin" ] && [ -z "$o_base" ]; then
		_orchestra_problem "$o_worktree, the worktree of agent $o_agent, is a worktree that is not ours: move or remove it"
	elif [ -z "$o_admin" ] && _orchestra_exists "$o_place"; then
		_orchestra_problem "$o_worktree, the worktree of agent $o_agent, exists and is not ours: move it, or change" \
			"worktrees.directory"
	fi
}

# ---- Refs: the base says that the branch is ours, so it comes first

_orchestra_pin() {
	[ -n "$o_base" ] || _orchestra_do "git update-ref $o_ref/base $(_orchestra_short "$o_start")" \
		_orchestra_move "$o_ref/base" '' "$o_start" 'pin the base' || exit
}

# A branch of ours that was deleted comes back where it was approved, or at its base.
_orchestra_make_branch() {
	[ -z "$o_head" ] || return 0
	o_point=${o_approved:-${o_base:-$o_start}}
	_orchestra_do "git branch --no-track $o_branch $(_orchestra_short "$o_point")" \
		_orchestra_move "refs/heads/$o_branch" '' "$o_point" "branches of fleet $o_fleet" || exit
}

# ---- The worktree: made and filled beside its place, and renamed into it, which is the moment at which it appears

_orchestra_place() {
	if [ -e "$o_worktree/.git" ]; then
		_orchestra_do_files "$o_worktree" _orchestra_refresh_file
		return
	fi
	_orchestra_do "git worktree add --lock $o_worktree $o_branch" _orchestra_add_worktree
}

_orchestra_add_worktree() {
	_orchestra_find_places
	if [ ! -d "$o_root" ]; then
		command printf '%s\n' "$o_root" >"$o_scratch/text"
		_orchestra_put_file "$o_state/fleets/$o_fleet/made-root"
	fi
	_orchestra_find_admin "$o_place"
	[ -z "$o_admin" ] || _orchestra_keep_staged
	_orchestra_make_worktree "$o_branch"
	_orchestra_enlist "${o_admin##*/}"
	_orchestra_git -C "$o_staged" -c index.version=2 -c core.untrackedCache=false -c core.splitIndex=false \
		read-tree -m -u HEAD || exit 3
	_orchestra_mark not-ready 'its set-up has not finished: run spawn again'
	_orchestra_do_files "$o_staged" _orchestra_write_file
	_orchestra_copy_belongings "$o_staged"
	_orchestra_appear
	_orchestra_say "$o_agent: $o_place on $o_branch"
}

# The folder of a worktree was deleted by somebody: what was staged in it is still there to keep.
_orchestra_keep_staged() (
	export GIT_INDEX_FILE="$o_admin/index"
	o_staged_head=$(_orchestra_git -C "$o_common" --git-dir="$o_admin" rev-parse --verify --quiet 'HEAD^{commit}') || exit 0
	o_staged_tree=$(_orchestra_git -C "$o_common" --git-dir="$o_admin" write-tree 2>/dev/null) || exit 0
	[ "$o_staged_tree" != "$(_orchestra_tree "$o_staged_head")" ] || exit 0
	o_kept=$(_orchestra_work_commit "$o_staged_tree" -p "$o_staged_head") || exit 3
	_orchestra_save "$o_kept"
)

# ---- Instruction files, with a copy of each as it was rendered: a file that equals its copy is ours to write anew

# _orchestra_do_files FOLDER HOW: hands each of the agent's files to HOW, which gets its PATH and, as input, its text.
_orchestra_do_files() {
	o_folder=$1
	o_how=$2
	_orchestra_files
}

# _orchestra_file PATH: a text as the blueprint gives it, its marks filled in.
_orchestra_file() {
	o_file=$1
	_orchestra_fill >"$o_scratch/text" || exit 3
	o_copy=$o_state/fleets/$o_fleet/agents/$o_agent/rendered/$o_file
	"$o_how"
}

_orchestra_write_file() {
	_orchestra_put_file "$o_copy"
	_orchestra_put_file "$o_folder/$o_file"
}

# In a worktree that was there before: what somebody wrote in is kept, and named.
_orchestra_refresh_file() {
	if [ -e "$o_folder/$o_file" ] && command cmp -s "$o_copy" "$o_scratch/text"; then
		return
	fi
	if ! _orchestra_exists "$o_folder/$o_file" || command cmp -s "$o_folder/$o_file" "$o_scratch/text" ||
		command cmp -s "$o_folder/$o_file" "$o_copy"; then
		_orchestra_do "write $o_folder/$o_file" _orchestra_rewrite_file
	else
		_orchestra_tell "$o_agent: $o_file was edited, so it is not rendered anew from the blueprint"
	fi
}

_orchestra_rewrite_file() {
	_orchestra_put_file "$o_folder/$o_file"
	_orchestra_put_file "$o_copy"
}

# ---- Hidden from git status, in the agents' worktrees and nowhere else: info/exclude would hold in yours, too

_orchestra_hide() {
	o_own=$o_state/fleets/$o_fleet
	_orchestra_excludes >"$o_scratch/text"
	command cmp -s "$o_scratch/text" "$o_own/excludes" || _orchestra_put_file "$o_own/excludes"
	o_quoted=$(command printf '%s' "$o_own/excludes" | command sed 's/[\\"]/\\&/g')
	command printf '[core]\n\texcludesFile = "%s"\n' "$o_quoted" >"$o_scratch/text"
	command cmp -s "$o_scratch/text" "$o_own/worktree.config" || _orchestra_put_file "$o_own/worktree.config"
	o_key=includeIf.gitdir:./worktrees/.path
	_orchestra_git -C "$o_common" config --local --get-all "$o_key" | command grep -qx orchestra/worktrees.config ||
		_orchestra_git -C "$o_common" config --local --add "$o_key" orchestra/worktrees.config || exit 3
	_orchestra_each_living _orchestra_enlist_if_there
}

# Your own global excludes, since git reads one such file only, and then ours.
_orchestra_excludes() {
	o_users=$(_orchestra_git -C "$o_home" config --path --get core.excludesFile) ||
		o_users=${XDG_CONFIG_HOME:-${HOME-}/.config}/git/ignore
	case $o_users in
	/*) ;;
	*) o_users=$o_home/$o_users ;;
	esac
	[ ! -r "$o_users" ] || _orchestra_awk '{ print }' "$o_users"
	command printf '# orchestra: files of its own in the worktrees of fleet %s\n' "$o_fleet"
	{
		_orchestra_instructions command printf '%s\n'
		command cat "$o_scratch/visible"
		command printf '.orchestra-tmp\n'
	} | LC_ALL=C command sort -u | command sed -e 's/[\\*?[]/\\&/g' -e ':a' -e 's/\([^\\]\) \(\(\\ \)*\)$/\1\\ \2/' -e 'ta' -e 's|^|/|'
	command printf '/.TASK.md.[0-9]*\n' # while changes are being requested
}

_orchestra_enlist_if_there() {
	_orchestra_find_places
	_orchestra_find_admin "$o_place"
	[ -z "$o_admin" ] || _orchestra_enlist "${o_admin##*/}"
}

# _orchestra_enlist NAME: lets the excludes hold in the worktree that git calls so.
_orchestra_enlist() {
	o_list=$o_state/worktrees.config
	o_entry="[includeIf \"gitdir:worktrees/$(command printf '%s' "$1" | command sed 's/[\\"]/\\&/g')\"]"
	{
		[ ! -f "$o_list" ] || ORCHESTRA_ENTRY=$o_entry LC_ALL=C command awk \
			'NR % 2 { entry = $0; next } entry != ENVIRON["ORCHESTRA_ENTRY"] { print entry "\001" $0 }' "$o_list"
		command printf '%s\001\tpath = "fleets/%s/worktree.config"\n' "$o_entry" "$o_fleet"
	} | LC_ALL=C command sort | command tr '\001' '\n' >"$o_scratch/text"
	command cmp -s "$o_scratch/text" "$o_list" || _orchestra_put_file "$o_list"
}

# ---- Set-up: an agent is ready only when every command passed; one that is not stops no other, and is tried again

_orchestra_set_up() {
	o_own=$o_state/fleets/$o_fleet/agents/$o_agent
	command grep -q '"state": "not-ready"' "$o_own/setup.json" 2>/dev/null || [ -n "$o_dry" ] || return 0
	_orchestra_shared _orchestra_do_share
	o_went_wrong=
	[ -n "$o_dry" ] || : >"$o_own/setup.log"
	_orchestra_setup_commands _orchestra_do_command
	if [ -n "$o_went_wrong" ]; then
		o_failed=1
		_orchestra_mark not-ready "$o_went_wrong"
		_orchestra_tell "$o_agent: not ready: $o_went_wrong; see $o_own/setup.log"
	else
		_orchestra_do "mark $o_agent as ready" _orchestra_mark ready ''
	fi
}

_orchestra_do_share() { _orchestra_do "cp -R $o_source/$1 $o_worktree/$1" _orchestra_share "$1" "$o_worktree"; }

# _orchestra_do_command COMMAND SECONDS: the next command of the set-up, unless one before it failed.
_orchestra_do_command() {
	[ -n "$o_went_wrong" ] || _orchestra_do "(cd $o_worktree && $1)" _orchestra_run_setup "$@"
}

_orchestra_run_setup() {
	_orchestra_say "$o_agent: $1"
	command printf '$ %s\n' "$1" >>"$o_own/setup.log"
	_orchestra_run _orchestra_agent_variables "$o_worktree" "$o_own/setup.log" "$2" "$1"
	case $o_outcome in
	passed) ;;
	failed) o_went_wrong="\`$1\` failed with exit code $o_code" ;;
	timed-out) o_went_wrong="\`$1\` did not end within $2 s" ;;
	*) o_went_wrong="\`$1\` could not be run: exit code $o_code" ;;
	esac
}

# _orchestra_mark STATE REASON: how an agent's set-up stands; the tool reads the same file.
_orchestra_mark() {
	command printf '{"state": "%s", "reason": "%s"}\n' "$1" "$(command printf '%s' "$2" | _orchestra_json)" >"$o_scratch/text"
	_orchestra_put_file "$o_state/fleets/$o_fleet/agents/$o_agent/setup.json"
}

# ---- What is told

_orchestra_remember() {
	[ ! -f "$o_home/$o_blueprint" ] || o_blueprint=$o_home/$o_blueprint
	command printf '{"source": "%s"}\n' "$(command printf '%s' "$o_blueprint" | _orchestra_json)" >"$o_scratch/text"
	_orchestra_put_file "$o_state/fleets/$o_fleet/blueprint.json"
	command printf '%s\n' "$o_target" >"$o_scratch/text"
	_orchestra_put_file "$o_state/fleets/$o_fleet/target"
	command printf '%s\n' "$o_fleet" >"$o_scratch/text"
	_orchestra_put_file "$o_state/current"
}

_orchestra_tell_next() {
	[ -z "$o_dry" ] || return 0
	_orchestra_say
	_orchestra_say "The agents of $o_fleet have their places in $o_root. What next:"
	_orchestra_say '  orchestrate.sh start AGENT     starts an agent in this terminal; path AGENT says where it works'
	_orchestra_say '  orchestrate.sh status          where each stands'
	_orchestra_say '  merge-helper.sh                reviews and lands what is finished, in order'
}
