# ==== Functions to call ============================================================================================

# orchestra_spawn [AGENT...]: gives all agents, or those named, a branch, a worktree, instruction files and set-up.
orchestra_spawn() (_orchestrate_begin orchestra_spawn "$@" && _orchestra_spawn "$@")

# orchestra_status: one line for each agent, read from git.
orchestra_status() (_orchestrate_begin orchestra_status "$@" && _orchestra_status)

# orchestra_agents: the names of the agents, in the order of the blueprint.
orchestra_agents() (_orchestrate_begin orchestra_agents "$@" && _orchestra_agents _orchestra_print_name)

# orchestra_path AGENT: the folder of its worktree, for instance for  cd "$(orchestra_path 1)"
orchestra_path() (
	_orchestrate_begin orchestra_path "$@" && _orchestra_require_agent "${1-}"
	_orchestra_say "$o_worktree"
)

# orchestra_start AGENT: starts its program in its worktree, in this terminal.
orchestra_start() (
	_orchestrate_begin orchestra_start "$@" && _orchestra_require_agent "${1-}"
	_orchestra_start
)

# orchestra_clean: removes worktrees and branches of agents that have landed or were discarded.
orchestra_clean() (_orchestrate_begin orchestra_clean "$@" && _orchestra_clean)

_orchestra_print_name() { _orchestra_say "$2"; }

_orchestrate_begin() {
	case "${2-}" in
	-h | --help) _orchestrate_help && exit ;;
	-*) _orchestra_fail 2 "$1 has no option $2" "$1 --help" ;;
	esac
	_orchestra_begin "$(_orchestrate_identity)" "$1"
}

_orchestrate_help() {
	command cat <<'END_OF_TEXT'
Usage: orchestrate.sh [VERB] [AGENT...]        sourced: orchestra_VERB [AGENT...]; AGENT is a name or a number

  spawn [AGENT...]  branch, worktree, instruction files and set-up for all agents, or for those named (the default)
  status            the state of each agent: commits, uncommitted files, notes, verdict
  agents            the names of the agents
  path AGENT        the folder of its worktree
  start AGENT       its program, in its worktree and in this terminal
  clean             remove worktrees and branches of landed and discarded agents

ORCHESTRA_DRY_RUN=1 prints what would be done and does nothing. For everything else use orchestra.
END_OF_TEXT
}

_orchestrate_main() {
	case "${1-spawn}" in
	-h | --help) _orchestrate_help ;;
	spawn | status | agents | path | start | clean)
		o_function=orchestra_${1-spawn}
		[ $# -eq 0 ] || shift
		"$o_function" "$@"
		;;
	*)
		_orchestra_warn "error: orchestrate.sh has no verb '$1'; orchestrate.sh --help lists them"
		return 2
		;;
	esac
}
