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

# orchestra_rehearse: the whole train with its gates, landing nothing.
orchestra_rehearse() (
	_merge_helper_begin orchestra_rehearse "$@"
	_orchestra_train rehearse
)

# orchestra_merge [--yes] [--push]: lands what is approved, in merge order. In a terminal it asks about what has no
# verdict yet, elsewhere it leaves that. --yes approves what is finished and green; --push pushes, with a lease.
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
