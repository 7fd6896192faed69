# ==== Belongings: untracked files of the main checkout that a worktree needs =======================================
#
# Promise: nothing that is there is replaced, and nothing is written outside the worktree.

# Writes to $o_scratch the lists `files` and `visible` (those that git would show), one a line, a newline in a name as \001.
_orchestra_find_belongings() {
	: >"$o_scratch/files"
	: >"$o_scratch/visible"
	o_source=$o_home
	[ "$o_home" != "$o_common" ] || o_source=$(_orchestra_checkouts "$o_target" | command sed -n '1p')
	[ -d "$o_source" ] || return 0
	{
		_orchestra_copied _orchestra_git -C "$o_source" ls-files -z --others --
		[ ! -f "$o_source/.worktreeinclude" ] ||
			_orchestra_git -C "$o_source" ls-files -z --others --ignored --exclude-from="$o_source/.worktreeinclude"
	} | command tr '\n\000' '\001\n' | LC_ALL=C command sort -u | _orchestra_plain_files >"$o_scratch/files"
	{
		command cat "$o_scratch/files"
		_orchestra_shared _orchestra_print_shared
	} | LC_ALL=C command sort -u >"$o_scratch/names"
	command tr '\001\n' '\n\000' <"$o_scratch/names" | _orchestra_git -C "$o_source" check-ignore -z --stdin |
		command tr '\n\000' '\001\n' | LC_ALL=C command sort -u >"$o_scratch/ignored"
	LC_ALL=C command comm -23 "$o_scratch/names" "$o_scratch/ignored" | command grep -v "$o_escape" >"$o_scratch/visible"
}

_orchestra_print_shared() { [ ! -d "$o_source/$1" ] || _orchestra_say "$1"; }

# Of names on standard input, those of files that no shared folder holds; a final slash is a repository of its own.
_orchestra_plain_files() {
	while IFS= read -r o_field; do
		_orchestra_decode
		o_held=
		_orchestra_shared _orchestra_if_held
		[ -n "$o_held" ] || [ "$o_path" != "${o_path%/}" ] || [ ! -f "$o_source/$o_path" ] || command printf '%s\n' "$o_field"
	done
}

_orchestra_if_held() {
	case $o_path in
	"$1"/*) o_held=1 ;;
	esac
}

# _orchestra_copy_belongings INTO
_orchestra_copy_belongings() {
	o_into=$1
	while IFS= read -r o_field <&3; do
		_orchestra_decode
		_orchestra_copy_file || exit 3
	done 3<"$o_scratch/files"
}

_orchestra_copy_file() {
	o_copied=$o_into/$o_path
	! _orchestra_exists "$o_copied" || return 0
	command mkdir -p -- "${o_copied%/*}" && _orchestra_is_inside "${o_copied%/*}" "$o_into" || return 0
	command cp -p -- "$o_source/$o_path" "$o_copied.orchestra" && command mv -- "$o_copied.orchestra" "$o_copied"
}

# _orchestra_share FOLDER INTO: a big untracked folder: its blocks are shared where the file system can, else it is a copy.
_orchestra_share() {
	[ -d "$o_source/$1" ] && ! _orchestra_exists "$2/$1" || return 0
	o_aside=$2/.orchestra-tmp
	o_above=$2/$1
	command rm -rf -- "$o_aside" && command mkdir -p -- "$o_aside" "${o_above%/*}" || exit 3
	_orchestra_is_inside "${o_above%/*}" "$2" || return 0
	command cp -RPp --reflink=auto -- "$o_source/$1" "$o_aside/folder" 2>/dev/null || {
		command rm -rf -- "$o_aside/folder"
		command cp -RPp -- "$o_source/$1" "$o_aside/folder" || exit 3
	}
	command mv -- "$o_aside/folder" "$o_above" && command rm -rf -- "$o_aside" || exit 3
}
