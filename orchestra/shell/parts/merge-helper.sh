# ==== Functions to call ============================================================================================

# orchestra_rebase_and_test AGENT...: builds these agents' work together on the target and runs the gates; lands nothing.
orchestra_rebase_and_test() (
	_merge_helper_begin orchestra_rebase_and_test "$@" && _orchestra_require_agent "${1-}"
	_orchestra_train test "$@"
)

# orchestra_review [AGENT]: notes, commits and changes of an agent; without AGENT the list of open ones.
orchestra_review() (
	_merge_helper_begin orchestra_review "$@"
	[ $# -gt 0 ] || { _orchestra_merge_order _orchestra_list_open && exit; }
	_orchestra_require_agent "$1"
	_orchestra_review
)

# orchestra_approve AGENT: the commit at which its branch is may land. A later commit makes the approval stale.
orchestra_approve() (
	_merge_helper_begin orchestra_approve "$@" && _orchestra_require_agent "${1-}"
	_orchestra_locked _orchestra_approve
)

# orchestra_request_changes AGENT MESSAGE: adds MESSAGE to its TASK.md, and withdraws an approval.
orchestra_request_changes() (
	_merge_helper_begin orchestra_request_changes "$@" && _orchestra_require_agent "${1-}"
	_orchestra_locked _orchestra_request_changes "${2-}"
)

# orchestra_discard AGENT REASON: the work does not land. Its head is kept, and the way back is printed.
orchestra_discard() (
	_merge_helper_begin orchestra_discard "$@" && _orchestra_require_agent "${1-}"
	_orchestra_locked _orchestra_discard "${2-}"
)

# orchestra_rehearse [AGENT...]: a merge of all finished work with its gates; lands nothing.
orchestra_rehearse() (_merge_helper_begin orchestra_rehearse "$@" && _orchestra_train rehearse "$@")

# orchestra_merge [--yes] [--push] [AGENT...]: lands what is approved, in merge order. --yes approves what is finished and
# passes its gates; --push pushes with a lease.
orchestra_merge() (_merge_helper_begin orchestra_merge "$@" && _orchestra_train merge "$@")

_merge_helper_begin() {
	case "${2-}" in
	-h | --help) _merge_helper_help && exit ;;
	esac
	_orchestra_begin "$(_merge_helper_identity)" "$1"
}

_merge_helper_help() {
	command cat <<'END_OF_TEXT'
Usage: merge-helper.sh [VERB] [WORD...]        sourced: orchestra_VERB [WORD...]; AGENT is a name or a number

  merge [--yes] [--push] [AGENT...]  land what is approved, in merge order; --yes approves what is finished and passes,
                                     --push pushes (the default)
  rebase_and_test AGENT...           test these agents together on the target; lands nothing
  rehearse [AGENT...]                test all finished work as a merge would; lands nothing
  review [AGENT]                     the open agents; or the notes, commits and changes of one
  approve AGENT                      the commit at which its branch is may land
  request_changes AGENT MESSAGE      add MESSAGE to its TASK.md
  discard AGENT REASON               the work does not land; its head is kept

ORCHESTRA_DRY_RUN=1 prints what would be done and does nothing. For everything else use orchestra.
END_OF_TEXT
}

_merge_helper_main() {
	o_function=$(command printf '%s' "${1-merge}" | command tr - _)
	case $o_function in
	__help | _h) _merge_helper_help ;;
	__yes | __push) orchestra_merge "$@" ;;
	merge | rebase_and_test | rehearse | review | approve | request_changes | discard)
		[ $# -eq 0 ] || shift
		"orchestra_$o_function" "$@"
		;;
	*)
		_orchestra_warn "error: merge-helper.sh has no verb '$1'; merge-helper.sh --help lists them"
		return 2
		;;
	esac
}
