# ==== Functions to call ============================================================================================

# orchestra_rebase_and_test AGENT...: builds these agents' work together on the target and runs the gates; lands nothing.
orchestra_rebase_and_test() (_merge_helper_begin orchestra_rebase_and_test "$@" && _orchestra_require_agent "${1-}" && _orchestra_train test "$@")

# orchestra_review AGENT: notes, commits and changes of an agent.
orchestra_review() (_merge_helper_begin orchestra_review "$@" && _orchestra_require_agent "${1-}" && _orchestra_review)

# orchestra_approve AGENT: the commit at which its branch is may land. A later commit makes the approval stale.
orchestra_approve() (_merge_helper_begin orchestra_approve "$@" && _orchestra_require_agent "${1-}" && _orchestra_locked lock _orchestra_approve)

# orchestra_request_changes AGENT MESSAGE: adds MESSAGE to its TASK.md, and withdraws an approval.
orchestra_request_changes() (_merge_helper_begin orchestra_request_changes "$@" && _orchestra_require_agent "${1-}" && _orchestra_locked lock _orchestra_request_changes "${2-}")

# orchestra_discard AGENT REASON: the work does not land. Its head is kept, and the way back is printed.
orchestra_discard() (_merge_helper_begin orchestra_discard "$@" && _orchestra_require_agent "${1-}" && _orchestra_locked lock _orchestra_discard "${2-}")

# orchestra_rehearse [AGENT...]: a merge of all finished work with its gates; lands nothing.
orchestra_rehearse() (_merge_helper_begin orchestra_rehearse "$@" && _orchestra_train rehearse "$@")

# orchestra_merge [--yes] [--push] [AGENT...]: lands what is approved, in order; --yes also what is finished and passes.
orchestra_merge() (_merge_helper_begin orchestra_merge "$@" && _orchestra_train merge "$@")

_merge_helper_begin() {
	_orchestra_begin "$(_merge_helper_identity)" "$1"
	case $1 in *_approve | *_discard | *_merge) _merge_helper_require_person "${1#*_}" ;; esac
	_orchestra_find_target ''
	[ -z "$o_dry" ] || _orchestra_fail 2 'merge-helper.sh has no dry run' 'rehearse tests a merge and lands nothing'
	o_place=$o_root/${o_home##*/}.gates/script
}

# _merge_helper_require_person VERB: a coding session names itself in the environment of the commands that it runs.
_merge_helper_require_person() {
	for o_word in $o_session_variables; do eval "[ -z \"\${$o_word-}\" ]" || _orchestra_fail 3 "$1 is for a person to type, and this is a coding session ($o_word is set)" "ask the person to run orchestra_$1 in a terminal of their own; or declare verdicts: {by-agents: allow}"; done
}

# The help is the comments above.
_merge_helper_main() {
	o_word=$(command printf '%s' "${1-merge}" | command tr - _)
	[ $# -eq 0 ] || shift
	case $o_word in
	_h | __help) _orchestra_say 'Usage: merge-helper.sh [VERB] [WORD...]; AGENT is a name or a number. Verbs, merge if none is given:' && command sed -n 's/^# orchestra_/  /p' "$0" ;;
	merge | rebase_and_test | rehearse | review | approve | request_changes | discard) "orchestra_$o_word" "$@" ;;
	*) _orchestra_fail 2 "merge-helper.sh has no verb '$o_word'" 'merge-helper.sh --help lists them' ;;
	esac
}
