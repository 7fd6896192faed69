# ==== What you can call =============================================================================================

# orchestra_rebase_and_test AGENT...: puts these agents together on today's target, in merge order, and runs the gates on
# that. Lands nothing and moves no branch.
orchestra_rebase_and_test() (
	_merge_helper_begin orchestra_rebase_and_test "$@"
	[ $# -gt 0 ] || _orchestra_fail 2 'orchestra_rebase_and_test needs an AGENT, a name or a number'
	_orchestra_train try "$@"
)

# orchestra_review [AGENT]: the notes, commits and changes of an agent; without one, whose turn it is and with what.
orchestra_review() (
	_merge_helper_begin orchestra_review "$@"
	if [ $# -eq 0 ]; then
		_orchestra_merge_order _orchestra_review_if_open
	else
		_orchestra_require_agent "$1"
		_orchestra_review
	fi
)

# orchestra_approve AGENT: the exact commit that its branch is at may land. A later commit makes the approval stale.
orchestra_approve() (
	_merge_helper_begin orchestra_approve "$@"
	_orchestra_require_agent "${1-}"
	_orchestra_locked _orchestra_approve
)

# orchestra_request_changes AGENT MESSAGE: sends the work back. The message goes to the end of its TASK.md.
orchestra_request_changes() (
	_merge_helper_begin orchestra_request_changes "$@"
	_orchestra_require_agent "${1-}"
	_orchestra_locked _orchestra_request_changes "${2-}"
)

# orchestra_discard AGENT REASON: takes the work out. Its head is kept, and the way back is printed.
orchestra_discard() (
	_merge_helper_begin orchestra_discard "$@"
	_orchestra_require_agent "${1-}"
	_orchestra_locked _orchestra_discard "${2-}"
)

# orchestra_rehearse [AGENT...]: the whole train with its gates, landing nothing.
orchestra_rehearse() (
	_merge_helper_begin orchestra_rehearse "$@"
	_orchestra_train rehearse "$@"
)

# orchestra_merge [--yes] [--push] [AGENT...]: lands what is approved, in merge order. In a terminal it asks about what has
# no verdict yet, elsewhere it leaves that. --yes approves what is finished and green; --push pushes, with a lease.
orchestra_merge() (
	_merge_helper_begin orchestra_merge "$@"
	_orchestra_train merge "$@"
)

_merge_helper_begin() {
	case "${2-}" in
	-h | --help)
		_merge_helper_help
		exit 0
		;;
	esac
	_orchestra_begin "$(_merge_helper_identity)" "$@"
	o_tab=$(command printf '\t')
}

_merge_helper_help() {
	command cat <<'END_OF_TEXT'
Usage: merge-helper.sh [VERB] [WORD...]        sourced: orchestra_VERB [WORD...]; AGENT is a name or a number

  merge [--yes] [--push] [AGENT...]  lands what is approved, in merge order; in a terminal it shows the rest and asks;
                                     --yes approves what is finished and green, --push pushes (without a VERB)
  rebase_and_test AGENT...           these agents together on today's target, with the gates; lands nothing
  rehearse [AGENT...]                the whole train with its gates, landing nothing
  review [AGENT]                     whose turn it is; or an agent's notes, commits and changes
  approve AGENT                      the commit that its branch is at may land
  request_changes AGENT MESSAGE      sends the work back; MESSAGE goes to the end of its TASK.md
  discard AGENT REASON               takes the work out; its head is kept

ORCHESTRA_DRY_RUN=1 says what would be done and does nothing.
END_OF_TEXT
}

# Run as a script: without words it walks through the agents.
_merge_helper_run() {
	o_run=$(command printf '%s' "${1-merge}" | command tr - _)
	case $o_run in
	__help | _h) _merge_helper_help ;;
	__yes | __push) orchestra_merge "$@" ;;
	merge | rebase_and_test | rehearse | review | approve | request_changes | discard)
		[ $# -eq 0 ] || shift
		"orchestra_$o_run" "$@"
		;;
	*)
		_orchestra_tell "error: merge-helper.sh cannot '$1'"
		_orchestra_tell 'hint: merge-helper.sh --help says what it can'
		return 2
		;;
	esac
}
