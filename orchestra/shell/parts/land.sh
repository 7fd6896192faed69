# ==== Landing: one commit point, and everything that follows from it ===============================================
#
# The order: the candidate is pinned by a ref; what is about to happen is written down; with a push, the push comes first;
# the compare-and-swap of the target; checkouts of it are brought along; the `landed` ref and the notes are written; what
# was written down goes. Whatever a kill cuts off is derived again from the refs, by script or by tool.

# Lands o_built, the tested candidate of the agent in use.
_orchestra_land() {
	command rm -f -- "$o_scratch/turn"
	_orchestra_locked _orchestra_land_now
	case $? in
	0)
		o_local=$o_built
		o_tip=$o_built
		[ -z "$o_push" ] || o_remote_tip=$o_built
		_orchestra_enter_landed
		;;
	4) _orchestra_wait "$(command cat "$o_scratch/turn")" ;;
	5)
		_orchestra_tell "$(command cat "$o_scratch/turn"); building again"
		_orchestra_survey
		o_again=1
		o_held="$o_held $o_agent "
		;;
	*) o_quit=$(command cat "$o_scratch/turn" 2>/dev/null || command echo "landing $o_agent failed") ;;
	esac
}

# _orchestra_turn CODE WORDS: 3: nothing more can land in this run; 4: this agent cannot; 5: the target moved.
_orchestra_turn() {
	command printf '%s\n' "$2" >"$o_scratch/turn"
	exit "$1"
}

_orchestra_land_now() {
	_orchestra_require_same_verdict
	_orchestra_is_ancestor "$o_local" "$o_built" || _orchestra_turn 3 "$o_built does not contain $o_local"
	_orchestra_each_checkout _orchestra_require_way "$o_local" "$o_built"
	# Where a person's word is required, --yes gives it, for exactly this commit.
	[ "$o_review" != required ] || [ -n "$o_approved" ] ||
		_orchestra_move "$o_ref/approved" '' "$o_head" 'finished and green' || exit 3
	_orchestra_move "$o_ref/candidate" "$(_orchestra_ref candidate)" "$o_built" 'about to land' || exit 3
	_orchestra_write_intent
	[ -z "$o_push" ] || _orchestra_push
	_orchestra_move "$o_target_ref" "$o_local" "$o_built" "land $o_agent" 2>/dev/null || _orchestra_take_back_landing
	_orchestra_follow_up "$o_local" "$o_built"
}

# An agent lands only at the tip that was tested, under a verdict that still stands at this moment.
_orchestra_require_same_verdict() {
	o_tested=$o_head
	_orchestra_read
	[ "$o_work" = "$o_tested" ] || _orchestra_turn 4 'it was committed to while the train ran'
	case "$o_verdict" in
	approved | "$o_decided") ;;
	*) _orchestra_turn 4 "its verdict changed to $o_verdict while the train ran" ;;
	esac
}

_orchestra_require_way() {
	_orchestra_can_follow "$@" || _orchestra_turn 3 "$1 has work in the way of what lands: $(command tr '\n' ' ' <"$o_scratch/in-the-way")(commit it or move it aside)"
}

# _orchestra_each_checkout STEP OLD NEW: for every folder in which the target is checked out.
_orchestra_each_checkout() {
	_orchestra_checkouts "$o_target" | command tr '\n' '\001' | command tr '\001' '\n' >"$o_scratch/checkouts"
	while IFS= read -r o_checkout <&5; do
		[ ! -d "$o_checkout" ] || "$1" "$o_checkout" "$2" "$3"
	done 5<"$o_scratch/checkouts"
}

# What is about to happen, in the words of the tool: whoever comes after a kill, script or tool, can read it.
_orchestra_write_intent() {
	_orchestra_notes 2>/dev/null >"$o_scratch/notes" || : >"$o_scratch/notes"
	o_pushing=null
	[ -z "$o_push" ] || o_pushing="\"$o_remote\""
	o_lease=null
	[ -z "$o_push" ] || [ -z "$o_remote_tip" ] || o_lease="\"$o_remote_tip\""
	{
		command printf '{"fleet": "%s", "target": "%s", "old": "%s", "new": "%s", "agents": {"%s": "%s"}, "notes": {' \
			"$o_fleet" "$(command printf '%s' "$o_target" | _orchestra_json)" "$o_local" "$o_built" "$o_agent" "$o_built"
		[ ! -s "$o_scratch/notes" ] || command printf '"%s": "%s"' "$o_agent" "$(_orchestra_json <"$o_scratch/notes")"
		command printf '}, "remote": %s, "remote_old": %s}' "$o_pushing" "$o_lease"
	} >"$o_scratch/text"
	_orchestra_put_file "$o_state/train/intent.json"
}

# Promise: a push names the value that it expects to find there and is a fast-forward from it; what it did is read from
# the remote afterwards, since an answer can be lost on the way.
_orchestra_push() {
	[ -z "$o_remote_tip" ] || _orchestra_is_ancestor "$o_remote_tip" "$o_built" || _orchestra_take_back_landing
	_orchestra_git -C "$o_home" push --quiet --no-follow-tags --recurse-submodules=no \
		--force-with-lease="$o_target_ref:$o_remote_tip" "$o_remote" "$o_built:$o_target_ref" 2>"$o_scratch/pushed"
	o_found=$(_orchestra_look) || exit 3
	[ "$o_found" != "$o_built" ] || return 0
	_orchestra_abandon
	[ "$o_found" = "$o_remote_tip" ] || _orchestra_turn 5 "$o_remote/$o_target moved to ${o_found:-nothing}"
	_orchestra_turn 3 "$o_remote declines the push to $o_target: $(_orchestra_shown <"$o_scratch/pushed" | command tail -n 1)"
}

_orchestra_take_back_landing() {
	[ -z "$o_push" ] || _orchestra_turn 3 "$o_agent landed on $o_remote, but $o_target moved here at the same moment: bring them together with git pull --rebase $o_remote $o_target"
	_orchestra_abandon
	_orchestra_turn 5 "$o_target moved to $(_orchestra_short "$(_orchestra_tip "$o_target_ref")")"
}

# ---- After the swap: every step is done at most once, however often this is called

# _orchestra_follow_up OLD NEW
_orchestra_follow_up() {
	_orchestra_each_checkout _orchestra_bring_along "$1" "$2"
	_orchestra_git -C "$o_common" for-each-ref --format='%(refname) %(objectname)' "$o_refs/*/candidate" >"$o_scratch/candidates"
	while read -r o_candidate_ref o_commit <&6; do
		! _orchestra_is_ancestor "$o_commit" "$2" || _orchestra_mark_landed
	done 6<"$o_scratch/candidates"
	command rm -f -- "$o_state/train/intent.json"
}

# A checkout that has moved on since is its user's.
_orchestra_bring_along() {
	[ "$(_orchestra_git -C "$1" rev-parse --verify --quiet HEAD)" != "$3" ] || _orchestra_follow "$@"
}

# `landed` first, `candidate` after: at every moment one of them says where the work is. The notes are kept with the commit.
_orchestra_mark_landed() {
	o_landing=${o_candidate_ref%/candidate}
	o_landing=${o_landing##*/}
	_orchestra_require_agent "$o_landing"
	_orchestra_read
	if _orchestra_notes >"$o_scratch/notes" && [ -s "$o_scratch/notes" ]; then
		_orchestra_add_note "$o_commit" <"$o_scratch/notes"
	fi
	[ "$o_landed" = "$o_commit" ] || _orchestra_move "$o_ref/landed" "$o_landed" "$o_commit" landed || exit 3
	_orchestra_move "$o_candidate_ref" "$o_commit" '' landed || exit 3
}

_orchestra_add_note() (
	if ! _orchestra_git -C "$o_common" var GIT_COMMITTER_IDENT >/dev/null 2>&1; then
		export GIT_AUTHOR_NAME=orchestra GIT_AUTHOR_EMAIL=orchestra GIT_COMMITTER_NAME=orchestra GIT_COMMITTER_EMAIL=orchestra
	fi
	_orchestra_git -C "$o_common" notes --ref=refs/notes/orchestra add -f -F - "$1" 2>/dev/null
)

# It did not happen: unpinned and forgotten.
_orchestra_abandon() {
	_orchestra_git -C "$o_common" for-each-ref --format='%(refname) %(objectname)' "$o_refs/*/candidate" >"$o_scratch/candidates"
	while read -r o_candidate_ref o_commit <&6; do
		_orchestra_move "$o_candidate_ref" "$o_commit" '' 'did not land' || exit 3
	done 6<"$o_scratch/candidates"
	command rm -f -- "$o_state/train/intent.json"
}

# ---- What a killed train left, of this fleet; the first step of every train

_orchestra_recover() {
	if [ -f "$o_state/train/intent.json" ]; then
		_orchestra_locked _orchestra_settle || exit
	fi
	o_now=$(_orchestra_tip "$o_target_ref") || return 0
	_orchestra_locked _orchestra_derive_landed "$o_now" || exit
}

# Ids cannot be mistaken for notes: inside a JSON string every quote has a backslash before it.
_orchestra_settle() {
	o_said=$(command cat -- "$o_state/train/intent.json")
	o_theirs=$(command printf '%s\n' "$o_said" | command sed -n 's/^{"fleet": "\([^"]*\)".*/\1/p')
	[ "$o_theirs" = "$o_fleet" ] || _orchestra_fail 3 "a landing of the fleet ${o_theirs:-?} was cut off" \
		"its own merge finishes it: orchestra merge --blueprint ${o_theirs:-NAME}"
	o_old=$(command printf '%s\n' "$o_said" | command sed -n 's/^{"fleet": "[^"]*", "target": "[^"]*", "old": "\([0-9a-f]*\)".*/\1/p')
	o_new=$(command printf '%s\n' "$o_said" | command sed -n 's/^.*", "old": "[0-9a-f]*", "new": "\([0-9a-f]*\)", "agents".*/\1/p')
	[ -n "$o_old" ] && [ -n "$o_new" ] || _orchestra_fail 3 "$o_state/train/intent.json cannot be read" 'orchestra merge'
	o_now=$(_orchestra_tip "$o_target_ref") || o_now=
	if [ -n "$o_now" ] && _orchestra_is_ancestor "$o_new" "$o_now"; then
		_orchestra_tell 'finished a landing that was cut off'
		_orchestra_follow_up "$o_old" "$o_new"
	elif command printf '%s\n' "$o_said" | command grep -q '"remote": "[^"]*", "remote_old": [^"]*\("[0-9a-f]*"\)\{0,1\}}$' &&
		[ "$(_orchestra_look)" = "$o_new" ]; then
		_orchestra_move "$o_target_ref" "$o_old" "$o_new" 'land, as pushed' || exit 3
		_orchestra_tell 'finished a landing that was cut off'
		_orchestra_follow_up "$o_old" "$o_new"
	else
		_orchestra_tell 'took back a landing that had not begun'
		_orchestra_abandon
	fi
}

# An agent whose candidate the target holds has landed, whatever else was lost.
_orchestra_derive_landed() {
	_orchestra_git -C "$o_common" for-each-ref --format='%(refname) %(objectname)' "$o_refs/*/candidate" >"$o_scratch/candidates"
	while read -r o_candidate_ref o_commit <&6; do
		! _orchestra_is_ancestor "$o_commit" "$1" || _orchestra_mark_landed
	done 6<"$o_scratch/candidates"
}

# ---- Where the train starts: the remote first, since work lands on what it has

# Sets o_local, o_remote_tip and o_tip, on which candidates are built: the remote's, where that is ahead.
_orchestra_survey() {
	o_local=$(_orchestra_tip "$o_target_ref") || _orchestra_fail 3 "there is no branch $o_target with a commit in $o_home" \
		'make a first commit: work lands on top of it'
	_orchestra_require_quiet
	o_remote_tip=
	[ -z "$o_remote" ] || _orchestra_fetch
	o_tip=$o_local
	if [ -z "$o_remote_tip" ] || _orchestra_is_ancestor "$o_remote_tip" "$o_local"; then
		return 0
	elif _orchestra_is_ancestor "$o_local" "$o_remote_tip"; then
		o_tip=$o_remote_tip
	else
		_orchestra_fail 3 "$o_target and $o_remote/$o_target have diverged" \
			"bring them together first: git switch $o_target && git pull --rebase $o_remote $o_target"
	fi
}

_orchestra_fetch() {
	o_remote_tip=$(_orchestra_look) || exit 3
	[ -n "$o_remote_tip" ] || return 0
	_orchestra_git -C "$o_home" fetch --quiet --no-tags --no-recurse-submodules --no-write-fetch-head --end-of-options \
		"$o_remote" "+$o_target_ref:refs/remotes/$o_remote/$o_target" || _orchestra_fail 3 "remote $o_remote cannot be read"
	o_remote_tip=$(_orchestra_tip "refs/remotes/$o_remote/$o_target") || o_remote_tip=
}

# Where the remote's branch is now, by asking it; nothing where it has none.
_orchestra_look() {
	_orchestra_git -C "$o_home" ls-remote --end-of-options "$o_remote" "$o_target_ref" >"$o_scratch/remote" ||
		_orchestra_fail 3 "remote $o_remote cannot be read" "try: git ls-remote $o_remote"
	command sed -n "s|$o_tab$o_target_ref\$||p" "$o_scratch/remote"
}

# A checkout of the target with changes where work would land: refused before anything runs.
_orchestra_require_clear_checkouts() {
	: >"$o_scratch/coming"
	[ "$o_tip" = "$o_local" ] || _orchestra_delta "$o_local" "$o_tip" ADMT >>"$o_scratch/coming"
	while read -r o_rider o_head o_decided <&4; do
		o_base=$(_orchestra_tip "$o_refs/$o_rider/base") || o_base=
		o_from=$(_orchestra_git -C "$o_common" merge-base "$o_tip" "$o_head") || o_from=$o_base
		_orchestra_delta "$o_from" "$o_head" ADMT >>"$o_scratch/coming"
	done 4<"$o_scratch/riders"
	LC_ALL=C command sort -u "$o_scratch/coming" >"$o_scratch/all"
	_orchestra_without_instructions <"$o_scratch/all" >"$o_scratch/coming"
	_orchestra_each_checkout _orchestra_require_untouched '' ''
}

_orchestra_require_untouched() {
	_orchestra_list_touched "$1" | LC_ALL=C command sort -u | LC_ALL=C command comm -12 - "$o_scratch/coming" >"$o_scratch/touched"
	[ ! -s "$o_scratch/touched" ] ||
		_orchestra_fail 3 "$1 has work in the way of what lands: $(command tr '\n' ' ' <"$o_scratch/touched" | _orchestra_shown)" \
			"commit it or move it aside (git -C $1 stash --include-untracked), then run the command again"
}

# What is changed, staged, untracked or ignored in a checkout, one a line; of a folder that git only names, the files that
# are coming.
_orchestra_list_touched() (
	export GIT_OPTIONAL_LOCKS=0
	_orchestra_git -C "$1" status --porcelain=v1 -z --no-renames --untracked-files=all --ignored=matching |
		command tr '\n\000' '\001\n' | command sed 's/^...//' >"$o_scratch/rows"
	command grep -v '/$' "$o_scratch/rows"
	command grep '/$' "$o_scratch/rows" >"$o_scratch/folders"
	while IFS= read -r o_row <&3; do
		while IFS= read -r o_field <&4; do
			case $o_field in
			"$o_row"*)
				_orchestra_decode
				! _orchestra_exists "$1/$o_path" || command printf '%s\n' "$o_field"
				;;
			esac
		done 4<"$o_scratch/coming"
	done 3<"$o_scratch/folders"
)
