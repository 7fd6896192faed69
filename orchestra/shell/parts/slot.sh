# ==== The slot: a worktree of our own, where gates run =============================================================
#
# Promise: before a command runs there, its files are the candidate's and nothing else is there but what the set-up made,
# checked against an index that no job can reach.

# _orchestra_prepare_slot COMMIT: sets o_slot. Fails (that is no verdict), or sets o_ended to red when the set-up fails.
_orchestra_prepare_slot() {
	[ "$o_prepared" != "$1" ] || return 0
	if ! { _orchestra_open_slot "$1" && _orchestra_fill_slot "$1"; }; then
		o_told="the slot $o_slot cannot hold $(_orchestra_short "$1")"
		return 1
	fi
	command rm -rf -- "$o_scratch/tmp" && command mkdir -- "$o_scratch/tmp" || return 1
	_orchestra_find_belongings
	_orchestra_copy_belongings "$o_slot"
	_orchestra_shared _orchestra_share_in_slot
	_orchestra_setup_commands _orchestra_set_up_slot
	o_prepared=$1
}

_orchestra_share_in_slot() { _orchestra_share "$1" "$o_slot"; }

_orchestra_set_up_slot() {
	[ "$o_ended" = green ] || return 0
	_orchestra_run _orchestra_slot_variables "$o_slot" "$o_log" "$2" "$1"
	[ "$o_outcome" != passed ] || return 0
	o_told="setup $o_outcome"
	o_ended=stuck
	[ "$o_outcome" = broken ] || o_ended=red
}

_orchestra_open_slot() {
	_orchestra_find_place "$o_root/${o_home##*/}.gates/script" 'orchestra: gate slot script'
	o_slot=$o_place
	_orchestra_find_admin "$o_place"
	[ -z "$o_admin" ] || [ ! -e "$o_slot/.git" ] || return 0
	if [ -z "$o_admin" ] && _orchestra_exists "$o_slot"; then
		_orchestra_fail 3 "$o_slot is in the way of a gate slot" 'move it elsewhere'
	fi
	_orchestra_locked _orchestra_make_slot "$1" || return 1
	_orchestra_find_admin "$o_place"
}

# A slot whose link to git a job has broken is made again; it is ours alone, by the reason of its lock.
_orchestra_make_slot() {
	if [ -n "$o_admin" ] && [ "$(command cat -- "$o_admin/locked" 2>/dev/null)" = "$o_reason" ]; then
		command rm -rf -- "$o_slot"
	fi
	_orchestra_make_worktree --detach "$1"
	_orchestra_appear
}

# git on the slot's files, with the index that no job can reach.
_orchestra_in_slot() (
	export GIT_DIR="$o_admin" GIT_WORK_TREE="$o_slot" GIT_INDEX_FILE="$o_admin/orchestra-index"
	_orchestra_git -C "$o_slot" "$@"
)

_orchestra_fill_slot() {
	command rm -f -- "$o_admin/index.lock" "$o_admin/HEAD.lock" "$o_admin/orchestra-index.lock"
	_orchestra_in_slot update-ref --no-deref HEAD "$1" && _orchestra_in_slot read-tree --reset -u "$1" &&
		_orchestra_clear_slot && _orchestra_fill_submodules "$1" || return 1
	[ "$(_orchestra_in_slot write-tree)" = "$(_orchestra_tree "$1")" ] || return 1
	_orchestra_in_slot update-index -q --refresh
	_orchestra_in_slot diff-files -z --name-only --ignore-submodules | command tr '\n\000' '\001\n' >"$o_scratch/differ"
	_orchestra_all_as_checked_out "$1"
}

# What else is there goes, also where a job took away our right to remove it.
_orchestra_clear_slot() (
	_orchestra_in_slot ls-files -z --others --directory | command tr '\n\000' '\001\n' >"$o_scratch/others"
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		command rm -rf -- "$o_slot/$o_path" 2>/dev/null || {
			command chmod -R u+rwx -- "$o_slot/$o_path" && command rm -rf -- "$o_slot/$o_path"
		} || exit 1
	done 3<"$o_scratch/others"
)

_orchestra_fill_submodules() {
	command cp -p -- "$o_admin/orchestra-index" "$o_admin/index" || return 1
	[ -n "$(_orchestra_git -C "$o_common" ls-tree --full-tree "$1" -- .gitmodules)" ] || return 0
	_orchestra_git -C "$o_slot" submodule update --init --recursive --checkout
}

# Line-end rules can make git call a file changed that it has itself just written.
_orchestra_all_as_checked_out() (
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		_orchestra_in_slot cat-file --filters "$1:$o_path" 2>/dev/null | command cmp -s - "$o_slot/$o_path" || exit 1
	done 3<"$o_scratch/differ"
)

# _orchestra_allowed VARIABLE... COMMAND...: becomes COMMAND, with those variables and an allow-list of yours: a gate runs
# the agents' code, so it gets no tokens, no agent sockets, and nothing that redirects git.
_orchestra_allowed() {
	for o_name in PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_MONETARY \
		LC_NUMERIC LC_TIME XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR SSL_CERT_FILE SSL_CERT_DIR \
		REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS PIP_CERT HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY \
		http_proxy https_proxy no_proxy all_proxy JAVA_HOME GOPATH GOROOT GOMODCACHE GOCACHE GOPROXY GOFLAGS \
		GOTOOLCHAIN CARGO_HOME RUSTUP_HOME RUSTUP_TOOLCHAIN NVM_DIR PYENV_ROOT RBENV_ROOT GEM_HOME UV_CACHE_DIR \
		UV_INDEX_URL UV_DEFAULT_INDEX PIP_CACHE_DIR PIP_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX NPM_CONFIG_REGISTRY \
		npm_config_registry npm_config_cache DOCKER_HOST SystemRoot; do
		eval "[ -z \"\${$o_name+set}\" ] || set -- \"$o_name=\$$o_name\" \"\$@\""
	done
	_orchestra_become env -i CI=true TERM=dumb GIT_TERMINAL_PROMPT=0 "$@"
}

# _orchestra_remake: runs o_command, a rule's, on the merged tree, for the conflict in use; its file is then in the slot.
_orchestra_remake() {
	o_remade=$o_path
	o_rule_command=$o_command
	o_ended=green
	o_prepared=
	o_log=$(_orchestra_new_log "$o_merged" regenerate)
	o_side=$(_orchestra_side "$o_merged") && _orchestra_prepare_slot "$o_side" && [ "$o_ended" = green ] || return 1
	_orchestra_tell "  $o_remade: made anew by \`$o_rule_command\`"
	_orchestra_run _orchestra_slot_variables "$o_slot" "$o_log" "$(_orchestra_setup_seconds)" "$o_rule_command"
	o_path=$o_remade
	[ "$o_outcome" = passed ] && [ -f "$o_slot/$o_path" ] && [ ! -L "$o_slot/$o_path" ] &&
		_orchestra_is_inside "$(command dirname -- "$o_slot/$o_path")" "$o_slot"
}
