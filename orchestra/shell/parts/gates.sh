# ==== Gates ========================================================================================================

# _orchestra_check_builtin_gate NAME KIND BUILTIN POLICY: evicts the branch for what it changes or for its notes.
_orchestra_check_builtin_gate() {
	[ "$2" = builtin ] && [ -z "$o_is_out" ] || return 0
	_orchestra_notes >"$o_scratch/notes"
	if [ "$3" = scope ]; then
		_orchestra_check_scope "$4"
	elif [ "$4" != warn ] && ! _orchestra_notes_filled <"$o_scratch/notes"; then
		_orchestra_evict 'gate: AGENT_NOTES.md is missing or still the empty form'
	fi
}

# _orchestra_check_scope POLICY: git matches the paths. A path belongs to the agent if it is in its scope; a protected one
# needs may_edit, which stands for the scope, too.
_orchestra_check_scope() {
	o_fork=$(_orchestra_repo_git merge-base "$o_tip" "$o_head") || o_fork=$o_base
	{ _orchestra_kept_out command printf '%s\n' && _orchestra_may_edit _orchestra_changed; } | LC_ALL=C command sort -u >"$o_scratch/allowed"
	_orchestra_protected _orchestra_changed >"$o_scratch/protected"
	_orchestra_scope _orchestra_changed >"$o_scratch/scope"
	_orchestra_changed ':(top)' | LC_ALL=C command comm -23 - "$o_scratch/allowed" >"$o_scratch/judged"
	{
		LC_ALL=C command comm -12 "$o_scratch/judged" "$o_scratch/protected" |
			command sed "s/\$/ is protected, and not in the agent's may_edit/"
		LC_ALL=C command comm -23 "$o_scratch/judged" "$o_scratch/protected" | LC_ALL=C command comm -23 - "$o_scratch/scope" |
			command sed "s/\$/ is outside the agent's scope/"
	} | while IFS= read -r o_finding; do
		o_path=${o_finding%" is protected, and not in the agent's may_edit"}
		[ "$1" = justify ] && command grep -qF -e "${o_path%" is outside the agent's scope"}" "$o_scratch/notes" ||
			command printf '%s\n' "$o_finding"
	done >"$o_scratch/findings"
	[ -s "$o_scratch/findings" ] || return 0
	o_finding=$(_orchestra_printable <"$o_scratch/findings" | _orchestra_awk 'NR <= 3 { text = text (NR > 1 ? "; " : "") $0 }
		END { print text (NR > 3 ? "; and " NR - 3 " more" : "") }')
	if [ "$1" = warn ]; then _orchestra_warn "$o_agent: warning: $o_finding"; else _orchestra_evict "scope: $o_finding"; fi
}

# _orchestra_changed PATHSPEC...: the paths that the branch changes, sorted; a rename is both of its paths.
_orchestra_changed() {
	_orchestra_repo_git diff --no-ext-diff --no-textconv --no-renames --ignore-submodules=none --name-only -z "$o_fork" "$o_head" -- "$@" |
		_orchestra_lines | LC_ALL=C command sort
}

# ---- The scratch worktree: made for each test, and removed after it. The reason of its lock records that it is ours.

_orchestra_find_scratch() {
	o_place=$o_root/${o_home##*/}.gates/script
	_orchestra_find_admin "$o_place"
}

# Without the sparse checkout of yours that git copies into a new worktree: the files must be the candidate's, all of them.
_orchestra_add_scratch() {
	_orchestra_remove_scratch
	! _orchestra_exists "$o_place" || _orchestra_fail 3 "$o_place is in the way of the scratch worktree" 'move it'
	command mkdir -p -- "${o_place%/*}" && _orchestra_repo_git -c worktree.useRelativePaths=false worktree add --quiet \
		--no-checkout --lock --reason 'orchestra: gate slot script' --detach "$o_place" "$1" || exit 3
	_orchestra_find_admin "$o_place"
	command rm -f -- "$o_admin/config.worktree" "$o_admin/info/sparse-checkout"
	_orchestra_in_scratch read-tree --reset -u "$1" || exit 3
}

# What a gate made unwritable is removed, too.
_orchestra_remove_scratch() {
	_orchestra_find_scratch
	[ -n "$o_admin" ] || return 0
	[ ! -e "$o_place" ] || [ "$(command cat -- "$o_admin/locked" 2>/dev/null)" = 'orchestra: gate slot script' ] || return 0
	command rm -rf -- "$o_place" 2>/dev/null || { command chmod -R u+rwx -- "$o_place" && command rm -rf -- "$o_place"; } || exit 3
	_orchestra_unregister "$o_place"
	command rmdir -- "${o_place%/*}" 2>/dev/null || command :
}

# ---- Commands

# _orchestra_test COMMIT: sets o_result (passed, failed, broken), and o_detail and o_log of the gate that decided. A failed
# gate is tried again as often as it allows, a broken one twice.
_orchestra_test() {
	o_failures=0
	o_breaks=0
	while [ "$o_breaks" -lt 3 ]; do
		_orchestra_test_once "$1"
		[ "$o_result" != passed ] || return 0
		[ "$o_result" = failed ] || o_breaks=$((o_breaks + 1))
		[ "$o_result" = broken ] || o_failures=$((o_failures + 1))
		[ "$o_failures" -le "$o_retries" ] || return 0
	done
}

_orchestra_test_once() {
	o_candidate=$1
	o_result=passed
	o_detail=
	o_retries=0
	o_logs=$o_state/fleets/$o_fleet/gates/$(command printf '%.12s' "$1")
	command mkdir -p -- "${o_logs%/*}" && command rm -rf -- "$o_scratch/tmp" && command mkdir -- "$o_scratch/tmp" || exit 3
	_orchestra_locked _orchestra_add_scratch "$1" || _orchestra_fail 3 "cannot make the scratch worktree"
	_orchestra_find_scratch
	_orchestra_find_copies
	_orchestra_copy_files "$o_place"
	_orchestra_shared _orchestra_share_with_scratch
	_orchestra_setup_commands _orchestra_set_up_scratch
	_orchestra_gates _orchestra_run_gate
	_orchestra_locked _orchestra_remove_scratch
}

_orchestra_share_with_scratch() { _orchestra_copy "$1" "$o_place" -RPp || exit 3; }
_orchestra_set_up_scratch() { _orchestra_run_gate setup run "$1" "$2" 0; }

# _orchestra_run_gate NAME KIND COMMAND SECONDS RETRIES [VARIABLE...]
_orchestra_run_gate() {
	[ "$2" = run ] && [ "$o_result" = passed ] || return 0
	o_retries=$5
	o_try=1
	while o_log=$o_logs.$1.$o_try.log && [ -e "$o_log" ]; do
		o_try=$((o_try + 1))
	done
	o_gate=$1 o_gate_command=$3 o_gate_seconds=$4
	shift 5
	_orchestra_run _orchestra_gate_environment "$o_place" "$o_log" "$o_gate_seconds" "$o_gate_command" "$@"
	o_detail="$o_gate $o_outcome"
	_orchestra_warn "  $o_detail"
	[ "$o_outcome" != broken ] || o_result=broken
	[ "$o_result" = broken ] || [ "$o_outcome" = passed ] || o_result=failed
}

# _orchestra_with_allowed VARIABLE... COMMAND...: becomes COMMAND, with those variables and an allow-list of yours: a gate
# runs the agents' code, so it gets no tokens, no agent sockets, and nothing that redirects git.
_orchestra_with_allowed() {
	for o_name in PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_MONETARY \
		LC_NUMERIC LC_TIME XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR SSL_CERT_FILE SSL_CERT_DIR \
		REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS PIP_CERT HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY \
		http_proxy https_proxy no_proxy all_proxy JAVA_HOME GOPATH GOROOT GOMODCACHE GOCACHE GOPROXY GOFLAGS \
		GOTOOLCHAIN CARGO_HOME RUSTUP_HOME RUSTUP_TOOLCHAIN NVM_DIR PYENV_ROOT RBENV_ROOT GEM_HOME UV_CACHE_DIR \
		UV_INDEX_URL UV_DEFAULT_INDEX PIP_CACHE_DIR PIP_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX NPM_CONFIG_REGISTRY \
		npm_config_registry npm_config_cache DOCKER_HOST SystemRoot; do
		eval "[ -z \"\${$o_name+set}\" ] || set -- \"$o_name=\$$o_name\" \"\$@\""
	done
	exec env -i CI=true TERM=dumb GIT_TERMINAL_PROMPT=0 "$@"
}
