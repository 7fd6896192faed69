# ==== The merge: one agent after the other, each on the target as it is then =======================================

# _orchestra_train MODE WORD...: MODE is merge, rehearse or test. Only one merge runs in a repository; verdicts can be
# given meanwhile, so it has a lock of its own.
_orchestra_train() {
	_orchestra_require_supported "$o_merge_refused" 'orchestra merge'
	o_mode=$1 o_yes='' o_chosen=''
	shift
	for o_word in "$@"; do
		case "$o_mode $o_word" in
		'merge --yes') o_yes=1 ;;
		'merge --push') o_push=1 ;;
		*' -'*) _orchestra_fail 2 "$o_verb has no option $o_word" "$o_verb --help" ;;
		*) _orchestra_require_agent "$o_word" && o_chosen="$o_chosen $o_agent " ;;
		esac
	done
	[ "$o_mode" = merge ] || o_push=
	[ -z "$o_push" ] || [ -n "$o_remote" ] || _orchestra_fail 2 'there is no remote to push to' 'git remote add origin URL'
	_orchestra_locked train/lock _orchestra_merge_all
}

_orchestra_merge_all() {
	[ -d "$o_root" ] || _orchestra_fail 3 "the folder of the worktrees is missing: $o_root" 'orchestra_spawn makes it'
	o_local=$(_orchestra_commit "$o_target_ref") || _orchestra_fail 3 "there is no branch $o_target with a commit in $o_home" 'name the branch where work lands in the blueprint (target: main)'
	o_before=$o_local && _orchestra_find_gate_path
	_orchestra_find_tip
	o_out=' '
	: >"$o_scratch/others"
	_orchestra_merge_order _orchestra_merge_agent
	_orchestra_locked lock _orchestra_remove_scratch
	command cat "$o_scratch/others"
	o_word="would go from $(_orchestra_short "$o_before") to"
	[ "$o_mode" != merge ] || o_word="went${o_word#would go}"
	[ "$o_before" != "$o_tip" ] || o_word='stays at' o_push=
	_orchestra_say "$o_target $o_word $(_orchestra_short "$o_tip")${o_push:+, pushed}"
	[ ! -s "$o_scratch/others" ] || exit 1
}

# _orchestra_merge_agent NAME PREDECESSOR...: builds its candidate, tests it and lands it, or reports why not. One that has
# landed or was discarded blocks no other.
_orchestra_merge_agent() {
	_orchestra_require_agent "$1"
	shift
	_orchestra_read_agent
	[ -z "$o_landed$o_discarded" ] || return 0
	_orchestra_is_chosen || { o_out="$o_out$o_agent " && return; }
	o_is_out='' o_changed=$o_head o_why=$(_orchestra_why_not)
	[ -z "$o_why" ] || { _orchestra_report_other "waiting: $o_why" && return; }
	for o_name in "$@"; do
		[ "$o_mode" = test ] || [ "$o_out" = "${o_out#*" $o_name "}" ] || { _orchestra_report_other "blocked by $o_name, which is not landing in this run" && return; }
	done
	_orchestra_find_standards "$o_base"
	o_fork=$(_orchestra_repo_git merge-base "$o_tip" "$o_head") || o_fork=$o_base
	_orchestra_gates _orchestra_check_builtin_gate
	[ -z "$o_is_out" ] || return 0
	_orchestra_warn "$o_agent: building its candidate on $o_target at $(_orchestra_short "$o_tip")"
	_orchestra_build "$o_tip" || { _orchestra_report_other "evicted, $o_detail" && return; }
	o_fork=$o_tip o_changed=$o_built # the target may have moved files of the branch to a protected folder
	_orchestra_gates _orchestra_check_builtin_gate
	[ -z "$o_is_out" ] || return 0
	_orchestra_test "$o_built"
	if [ "$o_outcome" = passed ]; then _orchestra_land; else _orchestra_blame; fi
}

# Prints why the agent in use does not take part; nothing if it does.
_orchestra_why_not() {
	if [ -z "$o_base" ] || [ -z "$o_head" ]; then
		command echo "not spawned, or its branch $o_branch is missing"
	elif [ "$o_mode" = test ] || [ "$o_verdict" = approved ]; then
		return 0
	elif [ "$o_verdict" != none ]; then
		command echo "its verdict is $o_verdict"
	elif [ "$o_mode" = merge ] && [ -z "$o_yes" ]; then
		command echo 'no verdict'
	elif [ "$o_head" = "$o_base" ]; then
		command echo 'not started: no commits yet'
	elif o_dirty=$(_orchestra_uncommitted) && [ "${o_dirty:-0}" != 0 ]; then
		command echo "not finished: $o_dirty uncommitted files in $o_worktree"
	fi
}

# _orchestra_report_other TEXT: the agent in use does not land.
_orchestra_report_other() {
	_orchestra_say "$o_agent: $1" | command tee -a "$o_scratch/others" >&2
	o_is_out=1 o_out="$o_out$o_agent "
}

# A branch is evicted only if the target without it passes, and for a verdict of its gate only.
_orchestra_blame() {
	o_failure="$o_gate $o_outcome on $o_target at $(_orchestra_short "$o_tip") with this branch (log: $o_log)"
	[ "$o_outcome" != broken ] || { _orchestra_report_other "waiting: its gates could not be run: $o_failure" && return; }
	_orchestra_warn "$o_target: testing it alone"
	_orchestra_test "$o_tip"
	if [ "$o_outcome" = passed ]; then
		_orchestra_report_other "evicted, gate: $o_failure, and passes without it"
	else
		_orchestra_report_other "waiting: $o_target itself does not pass its gates: $o_failure"
	fi
}
