# ==== Review: what a person sees and decides =======================================================================

_orchestra_review_if_open() {
	_orchestra_require_agent "$1"
	_orchestra_read
	if [ -n "$o_base" ] && [ -n "$o_head" ] && [ -z "$o_landed$o_discarded" ]; then
		_orchestra_say "$o_agent: $o_verdict, $(_orchestra_count "$o_base" "$o_head") commits; orchestra_review $o_agent shows them"
	fi
}

# Promise: the diff is against the merge base with today's target: the agent's own work, and none of its neighbours'.
_orchestra_review() {
	_orchestra_read
	[ -n "$o_base" ] && [ -n "$o_head" ] || _orchestra_fail 2 "$o_agent has no branch to review" "orchestra_spawn $o_agent"
	_orchestra_find_standards "$o_base"
	_orchestra_show_agent
	_orchestra_diff -p | _orchestra_shown
}

_orchestra_show_agent() {
	o_from=$(_orchestra_git -C "$o_common" merge-base "$o_target_ref" "$o_head") || o_from=$o_base
	_orchestra_say
	_orchestra_say "==== $o_agent ($o_number): $o_title, at $(_orchestra_short "$o_head"), verdict: $o_verdict"
	_orchestra_say
	_orchestra_notes | _orchestra_shown
	_orchestra_say
	_orchestra_git -C "$o_common" log --no-decorate --format='%h %an: %s' "$o_from..$o_head" -- | _orchestra_shown
	_orchestra_diff --stat | _orchestra_shown
	_orchestra_tell_uncommitted
}

_orchestra_diff() {
	_orchestra_git -C "$o_common" diff --no-ext-diff --no-textconv "$@" "$o_from" "$o_head" -- ':(top)' \
		':(top,exclude,literal)CLAUDE.md' ':(top,exclude,literal)TASK.md' ':(top,exclude,literal)AGENT_NOTES.md'
}

# ---- Asked in a terminal, agent by agent

# _orchestra_ask QUESTION ANSWER...: sets o_answer to one of the ANSWERs, of which any unambiguous beginning will do; to
# quit at the end of input.
_orchestra_ask() {
	o_question=$1
	shift
	while :; do
		command printf '%s [%s] ' "$o_question" "$*" >&2
		IFS= read -r o_line || {
			o_answer=quit
			return
		}
		o_fitting=0
		for o_word in "$@"; do
			case $o_word in
			"$o_line"*)
				o_fitting=$((o_fitting + 1))
				o_answer_now=$o_word
				;;
			esac
		done
		if [ -n "$o_line" ] && [ "$o_fitting" -eq 1 ]; then
			o_answer=$o_answer_now
			return
		fi
		_orchestra_tell "please type one of: $*"
	done
}

# The candidate is green: shown, and judged.
_orchestra_ask_verdict() {
	_orchestra_show_agent
	_orchestra_ask "$o_agent is green on $o_target. What now?" approve request-changes discard skip quit
	if [ "$o_answer" = approve ]; then
		_orchestra_locked _orchestra_approve "$o_head" || o_answer=skip
		[ "$o_answer" = approve ] || _orchestra_wait 'it was committed to while the train ran'
		o_decided=approved
	else
		_orchestra_carry_out_answer
	fi
}

# In a terminal, one who was evicted can be sent back or discarded at once.
_orchestra_ask_about_evicted() {
	[ -n "$o_asking" ] && command grep -q "^$o_agent: evicted" "$o_scratch/evicted" || return 0
	_orchestra_ask "$o_agent does not land. What now?" request-changes discard skip quit
	[ "$o_answer" = skip ] || _orchestra_carry_out_answer
}

_orchestra_carry_out_answer() {
	case $o_answer in
	request-changes)
		_orchestra_ask_text 'What is to change? (one line)'
		_orchestra_locked _orchestra_request_changes "$o_text"
		_orchestra_wait_unless_decided 'changes were requested'
		;;
	discard)
		_orchestra_ask_text 'Why is it not wanted? (one line)'
		if _orchestra_locked _orchestra_discard "$o_text"; then
			command printf '%s\n' "$o_agent" >>"$o_scratch/decided" # settled: holds nobody up
		else
			_orchestra_wait_unless_decided 'no verdict'
		fi
		;;
	quit) o_quit='no verdict' ;;
	*) _orchestra_wait_unless_decided 'no verdict' ;;
	esac
}

_orchestra_wait_unless_decided() { ! _orchestra_is_undecided || _orchestra_wait "$1"; }

_orchestra_ask_text() {
	command printf '%s ' "$1" >&2
	IFS= read -r o_text || o_text=
}
