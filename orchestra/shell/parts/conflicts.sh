# ==== Conflicts that the blueprint has a rule for ==================================================================

# Promise: a path without a rule stays a conflict, and so does everything but a plain file on both sides. Reads
# $o_scratch/sides (MODE ID STAGE, a tab, PATH; stage 1 is the base, 2 the target, 3 the branch) and changes o_merged.
_orchestra_resolve() {
	command sed "s/^[^$o_tab]*$o_tab//" "$o_scratch/sides" | command sort -u >"$o_scratch/paths"
	[ -s "$o_scratch/paths" ] || return 1
	_orchestra_each_conflict _orchestra_may_resolve && _orchestra_each_conflict _orchestra_unite &&
		_orchestra_each_conflict _orchestra_regenerate
}

# _orchestra_each_conflict STEP: for each conflicted path, with its sides and its rule; ends at the first that fails.
_orchestra_each_conflict() {
	while IFS= read -r o_field <&3; do
		_orchestra_find_sides && _orchestra_find_rule && "$1" || return 1
	done 3<"$o_scratch/paths"
}

# Sets o_path, o_mode and o_id_1 to o_id_3. Fails where the target or the branch has no file, or no plain one.
_orchestra_find_sides() {
	o_path=$(command printf '%s.' "$o_field" | command tr '\001' '\n')
	o_path=${o_path%.}
	o_id_1=''
	o_id_2=''
	o_id_3=''
	while IFS= read -r o_side; do
		[ "${o_side#*"$o_tab"}" = "$o_field" ] || continue
		o_facts=${o_side%%"$o_tab"*}
		o_id=${o_facts#* }
		o_id=${o_id% *}
		case "${o_facts%% *} ${o_facts##* }" in
		'100644 1' | '100755 1') o_id_1=$o_id ;;
		'100644 2' | '100755 2') o_id_2=$o_id o_mode=${o_facts%% *} ;;
		'100644 3' | '100755 3') o_id_3=$o_id ;;
		*) return 1 ;;
		esac
	done <"$o_scratch/sides"
	[ -n "$o_id_2" ] && [ -n "$o_id_3" ]
}

# Sets o_rule and o_command. git itself matches the path, in an index that holds nothing else.
_orchestra_find_rule() {
	o_rule=
	command rm -f -- "$o_scratch/index"
	_orchestra_aside update-index --add --cacheinfo "$o_mode,$o_id_2,$o_path" || exit 3
	_orchestra_conflict_rules _orchestra_try_rule
	[ -n "$o_rule" ]
}

_orchestra_try_rule() {
	[ -z "$o_rule" ] && [ -n "$(_orchestra_aside ls-files -- ":(top,glob)$1")" ] || return 0
	o_rule=$2
	o_command=${3-}
}

_orchestra_may_resolve() { [ "$o_rule" != forbid ]; }

# union: both sides' lines stay. regenerate: the target's file, until the command below has made the new one.
_orchestra_unite() {
	o_blob=$o_id_2
	if [ "$o_rule" = union ]; then
		_orchestra_blob "$o_id_1" >"$o_scratch/1" && _orchestra_blob "$o_id_2" >"$o_scratch/2" &&
			_orchestra_blob "$o_id_3" >"$o_scratch/3" || exit 3
		_orchestra_git merge-file -p -q --union "$o_scratch/2" "$o_scratch/1" "$o_scratch/3" >"$o_scratch/united" || return 1
		o_blob=$(_orchestra_git -C "$o_common" hash-object -w --stdin <"$o_scratch/united") || exit 3
	fi
	_orchestra_put "$o_blob"
}

_orchestra_regenerate() {
	[ "$o_rule" = regenerate ] || return 0
	_orchestra_remake || return 1
	o_blob=$(_orchestra_git -C "$o_common" hash-object -w --stdin <"$o_slot/$o_path") || exit 3
	_orchestra_put "$o_blob"
}

# _orchestra_blob ID: what it holds; without an ID (both sides are new) nothing.
_orchestra_blob() { [ -z "$1" ] || _orchestra_git -C "$o_common" cat-file blob "$1"; }

# _orchestra_put BLOB: into the merged tree, at the conflicted path.
_orchestra_put() {
	_orchestra_aside read-tree "$o_merged" && _orchestra_aside update-index --add --cacheinfo "$o_mode,$1,$o_path" &&
		o_merged=$(_orchestra_aside write-tree) || exit 3
}
