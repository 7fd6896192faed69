# ==== Untracked files and folders of the main checkout that a worktree needs: setup.copy, setup.share, .worktreeinclude

# Sets o_source, and writes to $o_scratch the lists `files` (to copy) and `names` (with the shared folders).
_orchestra_find_copies() {
	: >"$o_scratch/files"
	: >"$o_scratch/names"
	o_source=$o_home
	[ "$o_home" != "$o_common" ] || o_source=$(_orchestra_checkouts "$o_target" | command sed -n '1p')
	[ -d "$o_source" ] || return 0
	{
		_orchestra_copied _orchestra_git -C "$o_source" ls-files -z --others --
		[ ! -f "$o_source/.worktreeinclude" ] ||
			_orchestra_git -C "$o_source" ls-files -z --others --ignored --exclude-from="$o_source/.worktreeinclude"
	} | _orchestra_lines | LC_ALL=C command sort -u | while IFS= read -r o_field; do
		_orchestra_decode
		o_is_shared=
		_orchestra_shared _orchestra_if_shared
		[ -n "$o_is_shared" ] || [ ! -f "$o_source/$o_path" ] || command printf '%s\n' "$o_field"
	done >"$o_scratch/files"
	{ command cat "$o_scratch/files" && _orchestra_shared _orchestra_print_folder; } | LC_ALL=C command sort -u >"$o_scratch/names"
}

_orchestra_print_folder() { [ ! -d "$o_source/$1" ] || _orchestra_say "$1"; }
_orchestra_if_shared() { [ "$o_path" = "${o_path#"$1"/}" ] || o_is_shared=1; }

# _orchestra_copy_files INTO
_orchestra_copy_files() {
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		_orchestra_copy "$o_path" "$1" -p || exit 3
	done 3<"$o_scratch/files"
}

# _orchestra_copy PATH INTO HOW: replaces nothing, and writes nothing outside INTO; blocks are shared where possible.
_orchestra_copy() {
	! _orchestra_exists "$2/$1" && [ -e "$o_source/$1" ] || return 0
	o_parent=$2/$1
	o_parent=${o_parent%/*}
	command mkdir -p -- "$o_parent" && _orchestra_resolve "$o_parent" && [ "$o_real" = "$o_parent" ] || return 0
	o_temporary=$2/.orchestra-tmp
	command rm -rf -- "$o_temporary" && command mkdir -- "$o_temporary" || return 3
	command cp "$3" --reflink=auto -- "$o_source/$1" "$o_temporary/copy" 2>/dev/null ||
		{ command rm -rf -- "$o_temporary/copy" && command cp "$3" -- "$o_source/$1" "$o_temporary/copy"; } || return 3
	command mv -- "$o_temporary/copy" "$2/$1" && command rmdir -- "$o_temporary"
}
