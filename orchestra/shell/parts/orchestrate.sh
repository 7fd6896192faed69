# ==== What you can call =============================================================================================

# orchestra_spawn [AGENT...]: gives all agents (or those named) a branch, a worktree, their instruction files and their
# set-up. Run twice it changes nothing; killed halfway, the next run completes it.
orchestra_spawn() (
	_orchestrate_begin orchestra_spawn "$@"
	_orchestra_spawn "$@"
)

# orchestra_status: one line for each agent, asked of git at this moment.
orchestra_status() (
	_orchestrate_begin orchestra_status "$@"
	_orchestra_status
)

# orchestra_agents: the names of the agents, one a line, in the order in which they are declared.
orchestra_agents() (
	_orchestrate_begin orchestra_agents "$@"
	_orchestra_agents _orchestra_print_name
)

# orchestra_path AGENT: the folder of an agent's worktree, for instance for  cd "$(orchestra_path 1)"
orchestra_path() (
	_orchestrate_begin orchestra_path "$@"
	_orchestra_require_agent "${1-}"
	_orchestra_say "$o_worktree"
)

# orchestra_start AGENT: starts the agent's program in its worktree and hands it the terminal.
orchestra_start() (
	_orchestrate_begin orchestra_start "$@"
	_orchestra_require_agent "${1-}"
	_orchestra_start
)

# orchestra_clean: removes worktrees and branches of agents that have landed or were discarded, and nothing else.
orchestra_clean() (
	_orchestrate_begin orchestra_clean "$@"
	_orchestra_clean
)

_orchestra_print_name() { _orchestra_say "$2"; }

_orchestrate_begin() {
	case "${2-}" in
	-h | --help)
		_orchestrate_help
		exit 0
		;;
	-*) _orchestra_fail 2 "$1 has no option $2" "$1 --help" ;;
	esac
	_orchestra_begin "$(_orchestrate_identity)" "$@"
}

_orchestrate_help() {
	command cat <<'END_OF_TEXT'
Usage: orchestrate.sh [VERB] [AGENT...]        sourced: orchestra_VERB [AGENT...]; AGENT is a name or a number

  spawn [AGENT...]  branch, worktree, instruction files and set-up for all agents, or for those named (without a VERB)
  status            where each agent stands: commits, uncommitted files, notes, verdict
  agents            the agents' names, one a line
  path AGENT        the folder of its worktree
  start AGENT       its program, in its worktree and in this terminal
  clean             removes worktrees and branches of landed and discarded agents, nothing else

ORCHESTRA_DRY_RUN=1 says what would be done and does nothing.
END_OF_TEXT
}

# Run as a script: without words it spawns.
_orchestrate_run() {
	case "${1-spawn}" in
	-h | --help) _orchestrate_help ;;
	spawn | status | agents | path | start | clean)
		o_run=orchestra_${1-spawn}
		[ $# -eq 0 ] || shift
		"$o_run" "$@"
		;;
	*)
		_orchestra_tell "error: orchestrate.sh cannot '$1'"
		_orchestra_tell 'hint: orchestrate.sh --help says what it can'
		return 2
		;;
	esac
}
