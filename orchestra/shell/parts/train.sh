# ==== The train: one agent after the other, each on the target as it is then ======================================

# _orchestra_train HOW WORD...: HOW is merge, rehearse or try. Promise: one train at a time in a repository, script or
# tool, by a lock of its own, so that verdicts can be given beside it.
_orchestra_train() {
	o_how=$1
	shift
	_orchestra_read_words "$@"
	_orchestra_gates _orchestra_refuse_unknown_gate
	if [ -n "$o_dry" ]; then
		_orchestra_tell_plan
		return
	fi
	_orchestra_locked_train _orchestra_conduct
}

_orchestra_locked_train() (
	command mkdir -p -- "$o_state/train" && exec 8>>"$o_state/train/lock" || exit 3
	_orchestra_hold "$o_state/train/lock" <&8
	"$@"
)

# Sets o_yes and o_push from --yes and --push, and o_chosen from the agents that are named.
_orchestra_read_words() {
	o_yes=
	o_chosen=
	for o_word in "$@"; do
		case "$o_how $o_word" in
		'merge --yes') o_yes=1 ;;
		'merge --push') o_push=1 ;;
		*' -'*) _orchestra_fail 2 "$o_verb has no option $o_word" "$o_verb --help" ;;
		*)
			_orchestra_require_agent "$o_word"
			o_chosen="$o_chosen $o_agent "
			;;
		esac
	done
	[ "$o_how" = merge ] || o_push=
	# In a terminal it asks about what has no verdict yet.
	o_asking=
	[ "$o_how" != merge ] || [ "$o_review" != required ] || [ -n "$o_yes$o_dry" ] || [ ! -t 0 ] || [ ! -t 2 ] || o_asking=1
	[ -z "$o_push" ] || [ -n "$o_remote" ] ||
		_orchestra_fail 2 'there is no remote to push to' 'git remote add origin URL, or leave --push out'
}

_orchestra_refuse_unknown_gate() {
	case "$2 ${3-}" in
	'builtin scope' | 'builtin notes' | 'run '*) ;;
	*) _orchestra_fail 2 "gate $1: the built-in $3 cannot be run by a script, so no train may leave" 'orchestra merge' ;;
	esac
}

_orchestra_tell_plan() {
	o_local=$(_orchestra_tip "$o_target_ref") || _orchestra_fail 3 "there is no branch $o_target in $o_home"
	_orchestra_begin_account
	_orchestra_merge_order _orchestra_board
	while read -r o_agent o_head o_decided; do
		_orchestra_say "would test $o_agent at $(_orchestra_short "$o_head") (verdict: $o_decided) on $o_target, and land it when green"
	done <"$o_scratch/riders"
	_orchestra_show_account
}

_orchestra_conduct() {
	_orchestra_recover
	_orchestra_survey
	_orchestra_begin_account
	_orchestra_merge_order _orchestra_board
	_orchestra_check_branches
	[ "$o_how" != merge ] || _orchestra_require_clear_checkouts
	# Who was red on a red target is tried again when something has landed, which may have mended it.
	o_again=1
	while [ -n "$o_again" ] && [ -z "$o_quit" ]; do
		o_again=
		o_held=
		_orchestra_merge_order _orchestra_ride
		[ -n "$o_held" ] || o_again=
	done
	_orchestra_merge_order _orchestra_leave_behind
	_orchestra_show_account
	[ ! -s "$o_scratch/evicted" ] && [ ! -s "$o_scratch/blocked" ] && [ ! -s "$o_scratch/waiting" ] || exit 1
}

# ---- Who rides

# _orchestra_board NAME PREDECESSOR...: writes riders (NAME, TIP, VERDICT), and those who wait with the reason.
_orchestra_board() {
	_orchestra_require_agent "$1"
	_orchestra_read
	[ -z "$o_landed$o_discarded" ] || return 0 # settled: holds nobody up
	case "${o_chosen:- $o_agent }" in
	*" $o_agent "*) ;;
	*)
		[ "$o_how" = try ] || o_out="$o_out$o_agent "
		return
		;;
	esac
	o_why=$(_orchestra_why_not)
	if [ -n "$o_why" ]; then
		_orchestra_wait "$o_why"
	else
		command printf '%s %s %s\n' "$o_agent" "$o_work" "$o_verdict" >>"$o_scratch/riders"
	fi
}

# Why the agent in use does not ride; nothing when it does.
_orchestra_why_not() {
	[ -n "$o_base" ] || command echo 'not spawned'
	[ -z "$o_base" ] || [ -n "$o_head" ] || command echo "branch $o_branch is gone"
	[ -n "$o_base" ] && [ -n "$o_head" ] && [ "$o_how" != try ] || return 0
	case "$o_verdict" in
	approved) ;;
	changes-requested) command echo 'changes were requested' ;;
	stale) [ "$o_review" = none ] || [ -n "$o_asking" ] || command echo 'its approval is stale: it was committed to since' ;;
	*)
		if [ "$o_how" = merge ] && [ -z "$o_yes" ] && [ "$o_review" = required ]; then
			[ -n "$o_asking" ] || command echo 'no verdict'
		else
			_orchestra_why_unfinished
		fi
		;;
	esac
}

_orchestra_why_unfinished() {
	o_dirty=$(_orchestra_uncommitted)
	[ "${o_dirty:-0}" = 0 ] || command echo "not finished: $o_dirty uncommitted files in $o_worktree"
}

# _orchestra_find_rider: sets o_head and o_decided as they were when the train left; fails for who does not ride.
_orchestra_find_rider() {
	o_decided=
	while read -r o_rider o_tip_then o_verdict_then; do
		if [ "$o_rider" = "$o_agent" ]; then
			o_head=$o_tip_then
			o_decided=$o_verdict_then
		fi
	done <"$o_scratch/riders"
	[ -n "$o_decided" ]
}

# ---- One agent

# _orchestra_ride NAME PREDECESSOR...: builds its candidate, tests it, lands it; or says why not.
_orchestra_ride() {
	_orchestra_require_agent "$1"
	shift
	_orchestra_is_undecided && [ -z "$o_quit" ] || return 0
	_orchestra_read
	_orchestra_find_rider || return 0
	for o_before in "$@"; do
		case "$o_out" in
		*" $o_before "*)
			_orchestra_block "$o_before"
			return
			;;
		esac
		case "$o_held" in
		*" $o_before "*) return ;;
		esac
	done
	_orchestra_find_standards "$o_base"
	_orchestra_tell "$o_agent: building its candidate on $o_target at $(_orchestra_short "$o_tip")"
	if ! _orchestra_build "$o_tip"; then
		_orchestra_evict "$o_reason" "$o_detail" "$(_orchestra_write_conflict)"
	elif ! _orchestra_audit "$o_built"; then
		_orchestra_evict conflict "$o_detail" ''
	else
		_orchestra_judge_test
	fi
	_orchestra_ask_about_evicted
}

# Promise: a branch is blamed only when its gates are red on exactly the target with it, as often as they may be tried,
# and green on the target without it. What the machine did is nobody's fault.
_orchestra_judge_test() {
	_orchestra_test "$o_built"
	case $o_ended in
	green) _orchestra_land_or_ask ;;
	stuck) _orchestra_wait "its gates could not be run to an end: $o_told (log: $o_log)" ;;
	red)
		o_red="$o_told on $o_target at $(_orchestra_short "$o_tip") with this branch, and passes without it"
		o_red_log=$o_log
		_orchestra_test_target
		case $o_target_ended in
		green) _orchestra_evict gate "$o_red" "$o_red_log" ;;
		red) o_held="$o_held $o_agent " ;;
		*) _orchestra_wait "gates cannot be run here at all: $o_told (log: $o_log)" ;;
		esac
		;;
	esac
}

# The target alone, asked once for each value that it takes.
_orchestra_test_target() {
	[ "${o_target_tested-}" != "$o_tip" ] || return 0
	_orchestra_tell "$o_target: testing it alone"
	_orchestra_test "$o_tip"
	o_target_tested=$o_tip
	o_target_ended=$o_ended
	o_target_told="$o_told (log: $o_log)"
}

_orchestra_land_or_ask() {
	if [ "$o_how" != merge ]; then
		o_tip=$o_built
		_orchestra_enter_landed
		return
	fi
	if [ "$o_decided" != approved ] && [ -n "$o_asking" ]; then
		_orchestra_ask_verdict
		[ "$o_answer" = approve ] || return 0
	fi
	_orchestra_land
}

# ---- The account: every agent is in one list, and each that did not land says why

_orchestra_begin_account() {
	for o_list in riders landed evicted blocked waiting decided; do
		: >"$o_scratch/$o_list"
	done
	o_out=' '
	o_held=
	o_quit=
	o_before_train=$o_local
}

_orchestra_enter() {
	command printf '%s\n' "$2" >>"$o_scratch/$1"
	command printf '%s\n' "$o_agent" >>"$o_scratch/decided"
	[ "$1" = landed ] || o_out="$o_out$o_agent "
	_orchestra_tell "$2"
}

_orchestra_is_undecided() { ! command grep -qxF -e "$o_agent" "$o_scratch/decided"; }

_orchestra_enter_landed() {
	o_verb_landed=landed
	[ "$o_how" = merge ] || o_verb_landed='would land'
	_orchestra_enter landed "$o_agent: $o_verb_landed as $(_orchestra_short "$o_built")"
	o_again=1
}

_orchestra_evict() { _orchestra_enter evicted "$o_agent: evicted, $1: $2${3:+ (log: $3)}"; }
_orchestra_block() { _orchestra_enter blocked "$o_agent: blocked by $1: it must land after $1, which does not land in this run"; }
_orchestra_wait() { _orchestra_enter waiting "$o_agent: waiting: $1"; }

# Whoever is left was red on a red target, or comes after one who was, or the person has had enough.
_orchestra_leave_behind() {
	_orchestra_require_agent "$1"
	_orchestra_is_undecided && command grep -q "^$o_agent " "$o_scratch/riders" || return 0
	if [ -n "$o_quit" ]; then
		_orchestra_wait "$o_quit"
	else
		_orchestra_wait "the target itself is red, so nobody can be blamed: ${o_target_told-}"
	fi
}

_orchestra_show_account() {
	_orchestra_say
	command cat "$o_scratch/landed" "$o_scratch/evicted" "$o_scratch/blocked" "$o_scratch/waiting"
	[ -n "$o_dry" ] || _orchestra_show_target
}

_orchestra_show_target() {
	o_after=$o_tip
	[ "$o_how" != merge ] || o_after=$(_orchestra_tip "$o_target_ref")
	if [ ! -s "$o_scratch/landed" ]; then
		_orchestra_say "$o_target stays at $(_orchestra_short "$o_before_train")"
	elif [ "$o_how" = merge ]; then
		_orchestra_say "$o_target went from $(_orchestra_short "$o_before_train") to $(_orchestra_short "$o_after")${o_push:+, pushed}"
	else
		_orchestra_say "$o_target would go from $(_orchestra_short "$o_before_train") to $(_orchestra_short "$o_after")"
	fi
}
