# ==== Commands of the blueprint's: with a time limit, and ended whole ==============================================

# _orchestra_run BECOME FOLDER LOG SECONDS COMMAND [VARIABLE...]: runs `sh -c COMMAND` in FOLDER, with the environment
# that BECOME gives it and VARIABLEs over that, its output in LOG. Sets o_outcome (passed, failed, timed-out, broken) and
# o_code. Promise: at its end, at its limit and when you interrupt, its whole process group goes; it holds no lock of ours.
_orchestra_run() {
	o_become=$1
	o_where=$2
	o_output=$3
	o_limit=$4
	o_command=$5
	shift 5
	command rm -f -- "$o_scratch/late"
	{ o_alone=1 && command cd -- "$o_where" && "$o_become" env "$@" sh -c "$o_command"; } </dev/null >>"$o_output" 2>&1 8>&- 9>&- &
	o_job=$!
	o_own_pid=$(exec sh -c 'echo "$PPID"')
	{ exec 8>&- 9>&- && _orchestra_watch "$o_job" "$o_limit" "$o_own_pid"; } >/dev/null 2>&1 &
	o_watch=$!
	wait "$o_job" 2>/dev/null
	o_code=$?
	command kill -KILL "$o_watch" 2>/dev/null # a softer signal can get lost in a process that has just begun
	wait "$o_watch" 2>/dev/null
	_orchestra_kill KILL "$o_job" # whatever it left behind
	o_job=
	_orchestra_classify
}

# Infrastructure is never a verdict: 125 is how tools say that something could not be tried, and more is a signal.
_orchestra_classify() {
	o_outcome=broken
	if [ -e "$o_scratch/late" ]; then
		o_outcome=timed-out
	elif [ "$o_code" -eq 0 ]; then
		o_outcome=passed
	elif [ "$o_code" -le 127 ] && [ "$o_code" -ne 125 ]; then
		o_outcome=failed
	fi
}

# _orchestra_as_agent VARIABLE... COMMAND...: becomes COMMAND, as the agent in use.
_orchestra_as_agent() {
	_orchestra_become env "ORCHESTRA_FLEET=$o_fleet" "ORCHESTRA_AGENT=$o_agent" "ORCHESTRA_AGENT_NUMBER=$o_number" \
		"ORCHESTRA_WORKTREE=$o_worktree" "ORCHESTRA_REPO=$o_home" "$@"
}

# _orchestra_become COMMAND...: with o_alone, in a session of its own, or at least a process group.
_orchestra_become() {
	if [ -z "${o_alone-}" ]; then
		exec "$@"
	elif command -v setsid >/dev/null 2>&1; then
		exec setsid "$@"
	elif command -v perl >/dev/null 2>&1; then
		exec perl -e 'setpgrp(0, 0); exec @ARGV; exit 127' "$@"
	fi
	exec "$@"
}

# _orchestra_watch JOB SECONDS OWNER: ends the job at its limit, or when its owner was killed; first asking, then not.
_orchestra_watch() {
	o_left=$2
	while [ "$o_left" -gt 0 ] && command kill -0 "$3"; do
		command sleep 1
		o_left=$((o_left - 1))
	done
	: >"$o_scratch/late"
	_orchestra_kill TERM "$1"
	command sleep 5
	_orchestra_kill KILL "$1"
}

# _orchestra_kill SIGNAL JOB: its process group; itself, where the machine gave it none.
_orchestra_kill() { command kill "-$1" "-$2" 2>/dev/null || command kill "-$1" "$2" 2>/dev/null || command :; }
