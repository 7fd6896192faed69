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
	_orchestra_begin "$(_orchestrate_identity)" "$1"
	_orchestra_find_target "$(_orchestra_default_target)"
	_orchestra_resolve "$o_root"
	o_root=$o_real
}

# Prints the remote's default branch, else the current one.
_orchestra_default_target() {
	_orchestra_repo_git symbolic-ref --quiet "refs/remotes/$o_remote/HEAD" 2>/dev/null | command sed "s|^refs/remotes/$o_remote/||" | command grep . ||
		_orchestra_repo_git symbolic-ref --quiet --short HEAD
}

# The help is the comments above.
_orchestrate_help() {
	_orchestra_say 'Usage: orchestrate.sh [VERB] [AGENT...]; AGENT is a name or a number. Verbs, spawn if none is given:'
	command sed -n 's/^# orchestra_/  /p' "$0"
	_orchestra_say 'ORCHESTRA_DRY_RUN=1 prints what would be done and does nothing. For everything else use orchestra.'
}

_orchestrate_main() {
	o_word=${1-spawn}
	[ $# -eq 0 ] || shift
	case $o_word in
	-h | --help) _orchestrate_help ;;
	spawn | status | agents | path | start | clean) "orchestra_$o_word" "$@" ;;
	*) _orchestra_fail 2 "orchestrate.sh has no verb '$o_word'" 'orchestrate.sh --help lists them' ;;
	esac
}
