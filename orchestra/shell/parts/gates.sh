# ==== Gates ========================================================================================================

# _orchestra_check_builtin_gate NAME KIND BUILTIN: evicts the branch for what it changes or for its notes.
_orchestra_check_builtin_gate() {
	[ "$2" = builtin ] && [ -z "$o_is_out" ] || return 0
	if [ "$3" = scope ]; then _orchestra_check_scope; elif ! _orchestra_notes | _orchestra_notes_filled; then
		_orchestra_report_other 'evicted, gate: AGENT_NOTES.md is missing or still the empty form'
	fi
}

# git matches the paths. A path belongs to the agent if it is in its scope; a protected one needs may_edit, which stands
# for the scope, too.
_orchestra_check_scope() {
	{ _orchestra_kept_out command printf '%s\n' && _orchestra_may_edit _orchestra_changed; } | LC_ALL=C command sort -u >"$o_scratch/allowed"
	_orchestra_scope _orchestra_changed >"$o_scratch/scope"
	{
		_orchestra_protected _orchestra_changed | LC_ALL=C command comm -23 - "$o_scratch/allowed" | command sed 's/$/ (protected)/'
		_orchestra_changed ':(top)' | LC_ALL=C command comm -23 - "$o_scratch/allowed" | _orchestra_folded_names |
			command sed 's/$/ (maybe a form of a protected name: use orchestra merge)/'
		_orchestra_changed ':(top)' | LC_ALL=C command comm -23 - "$o_scratch/allowed" | LC_ALL=C command comm -23 - "$o_scratch/scope" |
			command sed 's/$/ (outside its scope)/'
	} >"$o_scratch/findings"
	[ ! -s "$o_scratch/findings" ] || _orchestra_report_other "evicted, scope: $(_orchestra_first_three <"$o_scratch/findings")"
}

# _orchestra_changed PATHSPEC...: the paths that the branch changes, sorted; a rename is both of its paths.
_orchestra_changed() {
	_orchestra_repo_git diff --no-ext-diff --no-textconv --no-renames --ignore-submodules=none --name-only -z "$o_fork" "$o_changed" -- "$@" |
		_orchestra_lines | LC_ALL=C command sort
}

# ---- The scratch worktree at o_place: a new one for each candidate and each test

# Without the sparse checkout of yours that git copies into a new worktree: the files must be the candidate's, all of them.
_orchestra_add_scratch() {
	_orchestra_remove_scratch
	! _orchestra_exists "$o_place" || _orchestra_fail 3 "$o_place is in the way of the scratch worktree" 'move it'
	command mkdir -p -- "${o_place%/*}" && _orchestra_repo_git -c worktree.useRelativePaths=false worktree add --quiet \
		--no-checkout --lock --reason 'orchestra: gate slot script' --detach "$o_place" "$1" || exit 3
	_orchestra_find_admin "$o_place"
	command rm -f -- "$o_admin/config.worktree" "$o_admin/info/sparse-checkout"
	_orchestra_in_scratch read-tree --reset -u "$1" || exit 3
}

# The reason of its lock records that it is ours. What a gate made unwritable is removed, too.
_orchestra_remove_scratch() {
	_orchestra_find_admin "$o_place"
	[ -n "$o_admin" ] || return 0
	[ ! -e "$o_place" ] || [ "$(_orchestra_read_file "$o_admin/locked")" = 'orchestra: gate slot script' ] || return 0
	command rm -rf -- "$o_place" 2>/dev/null || { command chmod -R u+rwx -- "$o_place" && command rm -rf -- "$o_place"; } || exit 3
	_orchestra_unregister "$o_place"
	command rmdir -- "${o_place%/*}" 2>/dev/null || command :
}

# ---- Commands

# Sets o_path: your PATH without the folders in a checkout of this repository, whose code a gate must not test instead.
_orchestra_find_gate_path() {
	case ${HOME-}/ in "$o_home"/* | "$o_root"/*) o_path=$PATH && return ;; esac # then all tools are below the checkout
	o_path=$(command printf '%s\n' "$PATH" | command tr : '\n' | while IFS= read -r o_one; do
		o_real=$(command cd -P -- "$o_one" 2>/dev/null && command pwd -P)
		case $o_one:$o_real/ in /*:"$o_home"/* | /*:"$o_root"/*) _orchestra_warn "gates: removed $o_one from PATH: it runs code of a checkout of this repository" ;; *) _orchestra_say "$o_one" ;; esac
	done | command paste -s -d : -)
}

# _orchestra_test COMMIT: sets o_outcome, and o_gate and o_log of the gate that decided.
_orchestra_test() {
	o_outcome=passed
	o_logs=$o_state/fleets/$o_fleet/gates/$(command printf '%.12s' "$1")
	command mkdir -p -- "${o_logs%/*}" && command rm -rf -- "$o_scratch/tmp" && command mkdir -- "$o_scratch/tmp" || exit 3
	_orchestra_locked lock _orchestra_add_scratch "$1" || _orchestra_fail 3 "cannot make the scratch worktree $o_place"
	_orchestra_setup_commands _orchestra_set_up_scratch
	_orchestra_gates _orchestra_run_gate
}

_orchestra_set_up_scratch() { _orchestra_run_gate setup run "$1" "$2"; }

# _orchestra_run_gate NAME KIND COMMAND SECONDS [VARIABLE...]
_orchestra_run_gate() {
	[ "$2" = run ] && [ "$o_outcome" = passed ] || return 0
	o_gate=$1 o_command=$3 o_limit=$4 o_log=$o_logs.$1.log
	shift 4
	_orchestra_run _orchestra_gate_environment "$o_place" "$o_log" "$o_command" "$o_limit" "$@"
	_orchestra_warn "  $o_gate $o_outcome"
}
