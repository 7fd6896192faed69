# ==== The merge: one agent after the other, each on the target as it is then =======================================

# _orchestra_train MODE WORD...: MODE is merge, rehearse or test. Only one merge runs in a repository; verdicts can be
# given meanwhile, so it has a lock of its own.
_orchestra_train() {
	o_mode=$1
	shift
	o_yes=
	o_chosen=
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
	_orchestra_gates _orchestra_require_known_gate
	o_local=$(_orchestra_commit "$o_target_ref") || _orchestra_fail 3 "there is no branch $o_target with a commit in $o_home" \
		'name the branch where work lands in the blueprint (target: main)'
	[ -z "$o_dry" ] || { _orchestra_board_all && _orchestra_print_entries && exit; }
	(
		command mkdir -p -- "$o_state/train" && exec 8>>"$o_state/train/lock" || exit 3
		_orchestra_take_lock "$o_state/train/lock" <&8
		_orchestra_merge_all
	)
}

_orchestra_print_entries() {
	command sed "s/ .*/: would be tested on $o_fleet's target/" "$o_scratch/entries"
	command cat "$o_scratch/others"
}

_orchestra_require_known_gate() {
	case "$2 ${3-}" in
	'builtin scope' | 'builtin notes' | 'run '*) ;;
	*) _orchestra_fail 2 "gate $1: the script cannot run the built-in $3" 'orchestra merge' ;;
	esac
}

_orchestra_merge_all() {
	o_before=$o_local
	_orchestra_find_tip
	_orchestra_board_all
	_orchestra_merge_order _orchestra_merge_agent
	_orchestra_locked _orchestra_remove_scratch
	_orchestra_say
	command cat "$o_scratch/landed" "$o_scratch/others"
	if [ ! -s "$o_scratch/landed" ]; then
		_orchestra_say "$o_target stays at $(_orchestra_short "$o_local")"
	elif [ "$o_mode" = merge ]; then
		_orchestra_say "$o_target went from $(_orchestra_short "$o_before") to $(_orchestra_short "$o_local")${o_push:+, pushed}"
	else
		_orchestra_say "$o_target would go from $(_orchestra_short "$o_local") to $(_orchestra_short "$o_tip")"
	fi
	[ ! -s "$o_scratch/others" ] || exit 1
}

# ---- Which agents take part. $o_scratch/entries holds NAME COMMIT VERDICT of each, others the lines of the rest.

_orchestra_board_all() {
	o_out=' '
	o_stop=
	command tee "$o_scratch/entries" "$o_scratch/landed" "$o_scratch/others" </dev/null
	_orchestra_merge_order _orchestra_board
}

# _orchestra_board NAME PREDECESSOR...
_orchestra_board() {
	_orchestra_require_agent "$1"
	_orchestra_read_agent
	[ -z "$o_landed$o_discarded" ] || return 0 # blocks no other agent
	if ! _orchestra_is_chosen; then
		[ "$o_mode" = test ] || o_out="$o_out$o_agent "
	elif o_why=$(_orchestra_why_not) && [ -n "$o_why" ]; then
		_orchestra_wait "$o_why"
	else
		command printf '%s %s %s\n' "$o_agent" "$o_work" "$o_verdict" >>"$o_scratch/entries"
	fi
}

# Prints why the agent in use does not take part; nothing if it does.
_orchestra_why_not() {
	if [ -z "$o_base" ]; then
		command echo 'not spawned'
	elif [ -z "$o_head" ]; then
		command echo "branch $o_branch is missing"
	elif [ "$o_mode" = test ] || [ "$o_verdict" = approved ]; then
		return 0
	elif [ "$o_verdict" = changes-requested ]; then
		command echo 'changes were requested'
	elif [ "$o_verdict" = stale ] && [ "$o_review" = required ]; then
		command echo 'its approval is stale: it has commits since'
	elif [ "$o_mode" = merge ] && [ -z "$o_yes" ] && [ "$o_review" = required ]; then
		command echo 'no verdict'
	elif [ "$o_head" = "$o_base" ]; then
		command echo 'not started: no commits yet'
	elif o_dirty=$(_orchestra_uncommitted) && [ "${o_dirty:-0}" != 0 ]; then
		command echo "not finished: $o_dirty uncommitted files in $o_worktree"
	fi
}

# _orchestra_report_other TEXT: the agent in use does not land.
_orchestra_report_other() {
	command printf '%s\n' "$o_agent: $1" | command tee -a "$o_scratch/others" >&2
	o_is_out=1
	o_out="$o_out$o_agent "
}

_orchestra_evict() { _orchestra_report_other "evicted, $1"; }
_orchestra_wait() { _orchestra_report_other "waiting: $1"; }

# ---- One agent

# _orchestra_merge_agent NAME PREDECESSOR...: builds its candidate, tests it and lands it, or reports why not.
_orchestra_merge_agent() {
	_orchestra_require_agent "$1"
	shift
	o_entry=$(command grep "^$o_agent " "$o_scratch/entries") || return 0
	_orchestra_read_agent
	o_decided=${o_entry##* }
	o_entry=${o_entry#* }
	o_head=${o_entry% *}
	o_is_out=
	[ -z "$o_stop" ] || { _orchestra_wait "$o_stop" && return; }
	for o_name in "$@"; do
		[ "$o_out" = "${o_out#*" $o_name "}" ] ||
			{ _orchestra_report_other "blocked by $o_name, which is not landing in this run" && return; }
	done
	_orchestra_find_standards "$o_base"
	_orchestra_gates _orchestra_check_builtin_gate
	[ -z "$o_is_out" ] || return 0
	_orchestra_warn "$o_agent: building its candidate on $o_target at $(_orchestra_short "$o_tip")"
	_orchestra_build "$o_tip" || { _orchestra_evict "$o_detail" && return; }
	_orchestra_test "$o_built"
	case $o_result in
	passed) _orchestra_land ;;
	broken) _orchestra_wait "its gates could not be run: $o_detail (log: $o_log)" ;;
	*) _orchestra_blame ;;
	esac
}

# A branch is evicted only if the target without it passes. The target is tested once for each of its commits.
_orchestra_blame() {
	o_failure="$o_detail on $o_target at $(_orchestra_short "$o_tip") with this branch"
	o_failure_log=$o_log
	if [ "${o_tested_target-}" != "$o_tip" ]; then
		_orchestra_warn "$o_target: testing it alone"
		_orchestra_test "$o_tip"
		o_tested_target=$o_tip
		o_target_result=$o_result
	fi
	if [ "$o_target_result" = passed ]; then
		_orchestra_evict "gate: $o_failure, and passes without it (log: $o_failure_log)"
	else
		_orchestra_wait "$o_target itself does not pass its gates: $o_failure (log: $o_failure_log)"
	fi
}
