# ==== Gates ========================================================================================================

# ---- The built-in ones: on what the branch changes and says, before anything is built

_orchestra_check_branches() {
	while read -r o_rider o_head o_decided <&4; do
		_orchestra_require_agent "$o_rider"
		_orchestra_read
		_orchestra_find_rider
		_orchestra_find_standards "$o_base"
		_orchestra_gates _orchestra_check_gate
	done 4<"$o_scratch/riders"
}

# _orchestra_check_gate NAME KIND BUILTIN POLICY: the first that stops the branch evicts it.
_orchestra_check_gate() {
	[ "$2" = builtin ] && _orchestra_is_undecided || return 0
	_orchestra_notes >"$o_scratch/notes" || : >"$o_scratch/no-notes"
	if [ "$3" = scope ]; then
		_orchestra_check_scope "$4"
	elif [ "$4" != warn ]; then
		_orchestra_notes_filled <"$o_scratch/notes" || _orchestra_evict gate 'AGENT_NOTES.md is still the empty form, or not there' ''
	fi
}

# _orchestra_check_scope POLICY: git itself matches the paths. A path is the agent's when it is in its scope; a protected
# one needs may_edit as well, which also stands for the scope.
_orchestra_check_scope() {
	_orchestra_find_findings >"$o_scratch/findings"
	if [ "$1" = justify ]; then
		_orchestra_unexplained <"$o_scratch/findings" >"$o_scratch/open"
		command mv -f -- "$o_scratch/open" "$o_scratch/findings"
	fi
	[ -s "$o_scratch/findings" ] || return 0
	o_told=$(_orchestra_shown <"$o_scratch/findings" | _orchestra_awk 'NR <= 3 { text = text (NR > 1 ? "; " : "") $0 }
		END { print text (NR > 3 ? "; and " NR - 3 " more" : "") }')
	if [ "$1" = warn ]; then
		_orchestra_tell "$o_agent: warning: $o_told"
	else
		_orchestra_evict scope "$o_told" ''
	fi
}

_orchestra_find_findings() {
	o_from=$(_orchestra_git -C "$o_common" merge-base "$o_tip" "$o_head") || o_from=$o_base
	_orchestra_changed ':(top)' | _orchestra_without_instructions >"$o_scratch/all"
	_orchestra_may_edit _orchestra_changed >"$o_scratch/may"
	_orchestra_protected _orchestra_changed >"$o_scratch/protected"
	_orchestra_scope _orchestra_changed >"$o_scratch/scope"
	LC_ALL=C command comm -23 "$o_scratch/all" "$o_scratch/may" >"$o_scratch/judged"
	LC_ALL=C command comm -12 "$o_scratch/judged" "$o_scratch/protected" |
		command sed "s/\$/ is protected, and not in the agent's may_edit/"
	LC_ALL=C command comm -23 "$o_scratch/judged" "$o_scratch/protected" | LC_ALL=C command comm -23 - "$o_scratch/scope" |
		command sed "s/\$/ is outside the agent's scope/"
}

# _orchestra_changed PATHSPEC...: the paths that the branch changes, sorted; a rename is both of its paths.
_orchestra_changed() {
	_orchestra_git -C "$o_common" diff --no-ext-diff --no-textconv --no-renames --name-only -z "$o_from" "$o_head" -- "$@" |
		command tr '\n\000' '\001\n' | LC_ALL=C command sort
}

_orchestra_without_instructions() {
	_orchestra_kept_out command printf '%s\n' | LC_ALL=C command sort -u >"$o_scratch/kept-out"
	LC_ALL=C command comm -23 - "$o_scratch/kept-out"
}

# Of findings on standard input, those whose path the notes do not name.
_orchestra_unexplained() {
	while IFS= read -r o_finding; do
		o_path=${o_finding%" is protected, and not in the agent's may_edit"}
		o_path=${o_path%" is outside the agent's scope"}
		command grep -qF -e "$o_path" "$o_scratch/notes" || command printf '%s\n' "$o_finding"
	done
}

# What the agent says of its work: the file in its worktree, else what it committed.
_orchestra_notes() {
	command cat -- "$o_worktree/AGENT_NOTES.md" 2>/dev/null ||
		_orchestra_git -C "$o_common" cat-file blob "$o_head:AGENT_NOTES.md" 2>/dev/null
}

# ---- Commands, on the candidate, in a worktree of our own

# _orchestra_test COMMIT: sets o_ended (green, red, stuck), and o_told and o_log of the gate that decided. Each red gate is
# tried again as often as it allows, what ended without a verdict three times.
_orchestra_test() {
	o_reds=0
	o_broken=0
	while :; do
		_orchestra_test_once "$1"
		case $o_ended in
		green) return ;;
		red)
			o_reds=$((o_reds + 1))
			[ "$o_reds" -le "$o_retries" ] || return 0
			;;
		*)
			o_broken=$((o_broken + 1))
			[ "$o_broken" -lt 3 ] || return 0
			;;
		esac
	done
}

_orchestra_test_once() {
	o_ended=green
	o_told=
	o_log=
	o_retries=0
	o_candidate=$1
	o_prepared=
	_orchestra_gates _orchestra_run_gate
}

# _orchestra_run_gate NAME KIND COMMAND SECONDS RETRIES [VARIABLE...]
_orchestra_run_gate() {
	[ "$2" = run ] && [ "$o_ended" = green ] || return 0
	o_gate=$1
	o_retries=$5
	o_log=$(_orchestra_new_log "$o_candidate" "$o_gate")
	_orchestra_prepare_slot "$o_candidate" || {
		o_ended=stuck
		return
	}
	[ "$o_ended" = green ] || return 0
	o_run=$3
	o_seconds=$4
	shift 5
	_orchestra_run _orchestra_slot_variables "$o_slot" "$o_log" "$o_seconds" "$o_run" "$@"
	_orchestra_tell "  $o_gate: $o_outcome"
	o_told="$o_gate $o_outcome"
	case $o_outcome in
	passed) ;;
	failed | timed-out) o_ended=red ;;
	*) o_ended=stuck ;;
	esac
}

_orchestra_new_log() {
	command mkdir -p -- "$o_state/fleets/$o_fleet/gates"
	o_free=1
	while [ -e "$o_state/fleets/$o_fleet/gates/$(command printf '%.12s' "$1").$2.$o_free.log" ]; do
		o_free=$((o_free + 1))
	done
	command printf '%s\n' "$o_state/fleets/$o_fleet/gates/$(command printf '%.12s' "$1").$2.$o_free.log"
}
