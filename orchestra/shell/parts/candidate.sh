# ==== Candidates: what the target becomes with an agent's work on it, built in memory ==============================
#
# Promise: nothing but objects is written: no ref, no worktree, no index of yours. The same work on the same target
# gives the same commit, which is the tool's, too. Instruction files are kept out of every commit, whatever the agent did.

# _orchestra_build ONTO: sets o_built to the commit that is ONTO (the target, or a candidate on it) with the agent's
# branch on it. Where there is none it fails, with o_reason (conflict or empty) and o_detail for a person.
_orchestra_build() {
	o_onto=$1
	o_built=
	o_reason=empty
	o_detail='every commit of the branch is already in the target'
	_orchestra_find_span
	[ -s "$o_scratch/span" ] || return 1
	o_reason=conflict
	o_detail='the branch shares no history with the target (git fetch --unshallow, if shallow)'
	[ -n "$o_fork" ] || return 1
	_orchestra_entries "$o_fork" >"$o_scratch/kept" || exit 3
	_orchestra_put_on_top
}

# The branch's own commits, oldest first, each with its parents; whether some are merges; and where it left the target:
# its base, when the target was rewritten since.
_orchestra_find_span() {
	_orchestra_list_span "$o_head" "$o_tip" "$o_base"
	o_rewritten=
	_orchestra_is_ancestor "$o_base" "$o_tip" || ! _orchestra_is_ancestor "$o_base" "$o_head" || o_rewritten=1
	o_fork=$o_base
	[ -n "$o_rewritten" ] || o_fork=$(_orchestra_git -C "$o_common" merge-base "$o_tip" "$o_head") || o_fork=
}

# _orchestra_list_span HEAD WITHOUT...: the commits of HEAD that none of the others hold, and whether some are merges.
_orchestra_list_span() {
	o_of=$1
	shift
	_orchestra_git -C "$o_common" rev-list --reverse --topo-order --parents "$o_of" --not "$@" -- \
		>"$o_scratch/span" || exit 3
	o_merges=
	! command grep -q ' .* ' "$o_scratch/span" || o_merges=1
}

# _orchestra_done COMMIT: it is the candidate, unless nothing changed.
_orchestra_done() {
	o_reason=empty
	o_detail='the branch changes nothing that the target does not have'
	[ "$1" != "$o_onto" ] || return 1
	o_built=$1
	o_reason=
	o_detail=
}

# ---- Each commit on top: authors, dates, messages and encodings stay, empty ones and merges go, as in git rebase

_orchestra_replay() {
	o_at=$o_onto
	while IFS=' ' read -r o_own o_parent o_second; do
		[ -z "$o_second" ] || continue
		_orchestra_apply || return 1
	done <"$o_scratch/span"
	_orchestra_done "$o_at"
}

_orchestra_apply() {
	o_before=$(_orchestra_no_tree)
	[ -z "$o_parent" ] || o_before=$(_orchestra_strip "$o_parent") || exit
	o_after=$(_orchestra_strip "$o_own") || exit
	o_here=$(_orchestra_tree "$o_at") || exit
	if ! _orchestra_merge_trees "$o_before" "$o_here" "$o_after"; then
		_orchestra_tell_conflict "commit $(_orchestra_short "$o_own") ($(_orchestra_subject "$o_own" | _orchestra_shown))"
		return 1
	fi
	[ "$o_merged" != "$o_here" ] || return 0
	_orchestra_keep_message "$o_own"
	o_at=$(_orchestra_write_commit "$o_own" "$o_merged" "$o_at") || exit
}

# ---- All at once: the tree that git merge gives

# Sets o_merged and o_here. A branch with merges of its own may have several merge bases: git is to find them, from a
# commit with the tip's history and no instruction files.
_orchestra_join() {
	o_here=$(_orchestra_tree "$o_onto") && o_after=$(_orchestra_strip "$o_head") || exit
	if [ -z "$o_merges" ]; then
		o_before=$(_orchestra_strip "$o_fork") || exit
		_orchestra_merge_trees "$o_before" "$o_here" "$o_after"
	else
		o_side=$(_orchestra_side "$o_after" -p "$o_head") || exit
		_orchestra_merge_commits "$o_onto" "$o_side"
	fi || {
		_orchestra_tell_conflict 'the branch'
		return 1
	}
}

# One commit with that tree; its author and dates are those of the branch's last commit.
_orchestra_squash() {
	_orchestra_join || return 1
	[ "$o_merged" != "$o_here" ] || {
		_orchestra_done "$o_onto"
		return
	}
	_orchestra_plain_commits >"$o_scratch/plain"
	o_last=$(command sed -n '$p' "$o_scratch/plain")
	if [ "$(($(command wc -l <"$o_scratch/plain")))" -eq 1 ]; then
		_orchestra_keep_message "$o_last"
	else
		_orchestra_compose_message _orchestra_message_of_all
	fi
	o_squashed=$(_orchestra_write_commit "$o_last" "$o_merged" "$o_onto") || exit
	_orchestra_done "$o_squashed"
}

# The branch's commits without merges; all, when there is nothing else.
_orchestra_plain_commits() {
	command grep -v ' .* ' "$o_scratch/span" >"$o_scratch/single" || command cp "$o_scratch/span" "$o_scratch/single"
	command sed 's/ .*//' "$o_scratch/single"
}

_orchestra_message_of_all() {
	command printf '%s\n\n' "$o_title"
	while read -r o_own; do
		command printf '* %s\n' "$(_orchestra_subject "$o_own")"
	done <"$o_scratch/plain"
	command printf '\n'
	_orchestra_authors >"$o_scratch/authors"
	_orchestra_awk '{ who[NR] = $0 }
		END { for (n = 1; n <= NR; n++) if (who[n] != who[NR] && !seen[who[n]]++) print "Co-authored-by: " who[n] }' \
		"$o_scratch/authors"
}

_orchestra_authors() {
	while read -r o_own; do
		_orchestra_git -C "$o_common" cat-file commit "$o_own" | command sed -n '/^$/q; s/^author \(.*>\) .*/\1/p'
	done <"$o_scratch/plain"
}

# ---- Both: each commit, or, where that loses something, all at once

# Leaving merges out may lose what they resolved: then the tree of one merge of the whole branch decides.
_orchestra_rebase() {
	if [ -z "$o_merges" ]; then
		_orchestra_replay
		return
	fi
	_orchestra_replay || o_built=
	o_replayed=$o_built
	_orchestra_squash || return 1
	[ -z "$o_replayed" ] || [ "$(_orchestra_tree "$o_replayed")" != "$(_orchestra_tree "$o_built")" ] || o_built=$o_replayed
}

# ---- Commits

# _orchestra_write_commit LIKE TREE PARENT...: prints the id of a commit with the author and dates of LIKE, the message in
# $o_scratch/message and our trailers. Its committer is you; its date is never before its parent's.
_orchestra_write_commit() {
	_orchestra_git -C "$o_common" cat-file commit "$1" | command sed '/^$/q' >"$o_scratch/like" || exit 3
	_orchestra_trailed <"$o_scratch/message" >"$o_scratch/trailed" || exit 3
	o_committer=$(command sed -n 's/^committer //p' "$o_scratch/like")
	o_seconds=$(_orchestra_seconds "$3")
	o_when=${o_committer##*> }
	[ "${o_when% *}" -gt "$o_seconds" ] && o_seconds=${o_when% *}
	! o_you=$(_orchestra_git -C "$o_common" var GIT_COMMITTER_IDENT 2>/dev/null) || o_committer=$o_you
	{
		command printf 'tree %s\n' "$2"
		shift 2
		command printf 'parent %s\n' "$@"
		command grep '^author ' "$o_scratch/like"
		command printf 'committer %s> %s %s\n' "${o_committer%> *}" "$o_seconds" "${o_when##* }"
		[ -z "$o_encoded" ] || command grep '^encoding ' "$o_scratch/like"
		command printf '\n'
		command cat "$o_scratch/trailed"
	} | _orchestra_git -C "$o_common" hash-object -t commit -w --stdin || exit 3
}

_orchestra_seconds() { _orchestra_git -C "$o_common" cat-file commit "$1" | command sed -n '/^$/q; s/^committer .*> \([0-9]*\) .*/\1/p'; }

# The message of the next commit: that of COMMIT, in its encoding; or what WRITER prints, in UTF-8.
_orchestra_keep_message() {
	o_encoded=1
	_orchestra_git -C "$o_common" cat-file commit "$1" | command sed '1,/^$/d' >"$o_scratch/message"
}

_orchestra_compose_message() {
	o_encoded=
	"$@" >"$o_scratch/message"
}

_orchestra_subject() {
	_orchestra_git -C "$o_common" log -1 --encoding=UTF-8 --format=%B --end-of-options "$1" -- | command sed -n '/./ { p; q; }'
}

_orchestra_no_tree() { _orchestra_git -C "$o_common" hash-object -t tree -w --stdin </dev/null; }

# Promise: a landed commit says whose work it is. Without your configuration, whose trailer settings may run commands;
# and no line of a message is taken for a comment.
_orchestra_trailed() (
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
	_orchestra_awk '{ text = text $0 "\n" } END { sub(/[ \t\r\n\v\f]+$/, "", text); if (text != "") print text }' |
		_orchestra_git -C "$o_scratch" -c core.commentChar="$(command printf '\001')" interpret-trailers --no-divider --if-exists replace \
			--trailer "Orchestra-Agent: $o_agent" --trailer "Orchestra-Fleet: $o_fleet"
)

# ---- Trees

# git on an index and a work tree of our own. The work tree holds the target's .gitattributes files, which say how to
# merge, and nothing else: policy is the target's, never the branch's.
_orchestra_aside() (
	[ -d "$o_scratch/attributes" ] || _orchestra_read_attributes
	export GIT_DIR="$o_common" GIT_WORK_TREE="$o_scratch/attributes" GIT_INDEX_FILE="$o_scratch/index"
	_orchestra_git -C "$o_scratch/attributes" "$@"
)

_orchestra_read_attributes() {
	command mkdir -- "$o_scratch/attributes"
	_orchestra_aside read-tree "$o_tip"
	_orchestra_aside ls-files -z -- ':(top,glob)**/.gitattributes' | _orchestra_aside checkout-index -z --stdin
	command rm -f -- "$o_scratch/index"
}

# What a commit holds at the paths of the instruction files.
_orchestra_entries() { _orchestra_kept_out _orchestra_git --literal-pathspecs -C "$o_common" ls-tree --full-tree "$1" --; }

# _orchestra_strip COMMIT: prints its tree with every instruction file as it was where the branch left the target.
_orchestra_strip() {
	_orchestra_entries "$1" >"$o_scratch/entries" || exit 3
	if command cmp -s "$o_scratch/entries" "$o_scratch/kept"; then
		_orchestra_tree "$1"
		return
	fi
	_orchestra_aside read-tree "$1" &&
		_orchestra_kept_out _orchestra_aside --literal-pathspecs ls-files -z -- >"$o_scratch/present" &&
		_orchestra_aside update-index -z --force-remove --stdin <"$o_scratch/present" &&
		_orchestra_aside update-index --index-info <"$o_scratch/kept" &&
		_orchestra_aside write-tree || exit 3
}

# _orchestra_merge_trees BASE OURS THEIRS: git before 2.45 merges commits only, so each tree gets one. Sets o_merged; fails on a conflict that no rule resolves.
_orchestra_merge_trees() {
	o_merged=$2
	[ "$1" != "$3" ] && [ "$2" != "$3" ] || return 0
	o_merged=$3
	[ "$1" != "$2" ] || return 0
	o_first=$(_orchestra_side "$1") && o_ours=$(_orchestra_side "$2" -p "$o_first") &&
		o_theirs=$(_orchestra_side "$3" -p "$o_first") || exit 3
	_orchestra_merge_commits "$o_ours" "$o_theirs"
}

# Promise: the same merge on every machine, whatever your settings. git ends with 1 on a conflict; without an answer it
# failed, whatever it ended with.
_orchestra_merge_commits() {
	_orchestra_aside -c merge.renames=true -c merge.directoryRenames=conflict -c merge.renormalize=false \
		-c merge.conflictStyle=merge -c merge.verbosity=2 -c diff.renameLimit=7000 -c merge.renameLimit=7000 \
		merge-tree --write-tree -z --messages "$1" "$2" >"$o_scratch/answer"
	o_code=$?
	[ -s "$o_scratch/answer" ] && [ "$o_code" -le 1 ] || _orchestra_fail 3 "git merge-tree failed with $o_code"
	# One field a line, a newline in a path as \001: the tree, the sides of each conflict, nothing, then messages.
	command tr '\n\000' '\001\n' <"$o_scratch/answer" >"$o_scratch/fields"
	o_merged=$(command sed -n '1p' "$o_scratch/fields")
	[ "$o_code" -ne 0 ] || return 0
	command sed -n '2,/^$/p' "$o_scratch/fields" | command sed '/^$/d' >"$o_scratch/sides"
	_orchestra_resolve
}

# Sets o_reason and o_detail: WHAT does not fit, and up to three of the paths.
_orchestra_tell_conflict() {
	o_reason=conflict
	o_paths=$(command sed "s/^[^$o_tab]*$o_tab//" "$o_scratch/sides" | command sort -u | _orchestra_shown |
		_orchestra_awk 'NR <= 3 { text = text (NR > 1 ? ", " : "") $0 } END { print text (NR > 3 ? " and " NR - 3 " more" : "") }')
	o_detail="$1 conflicts with the target${o_paths:+ in $o_paths}"
}

# Where the sides of a conflict can be read; prints the file's name, nothing for a branch that is empty.
_orchestra_write_conflict() {
	[ "$o_reason" = conflict ] && [ -s "$o_scratch/sides" ] || return 0
	o_log=$o_state/fleets/$o_fleet/gates/$(command printf '%.12s' "$o_head").$o_agent.conflict.txt
	command mkdir -p -- "${o_log%/*}"
	{
		_orchestra_say "$o_agent on $o_target at $o_tip: $o_detail"
		command grep '^CONFLICT' "$o_scratch/fields"
		_orchestra_git -C "$o_common" diff --no-ext-diff --no-textconv "$o_here" "$o_merged"
	} >"$o_log"
	_orchestra_say "$o_log"
}

# ---- The audit: what a candidate changes is what its branch changed, found out independently of building it

# _orchestra_audit COMMIT: promise: nothing that others landed is put back, and no instruction file lands.
_orchestra_audit() {
	_orchestra_delta "$o_onto" "$1" ADMT | LC_ALL=C command sort >"$o_scratch/lands"
	_orchestra_delta "$o_fork" "$o_head" ADMT | LC_ALL=C command sort >"$o_scratch/own"
	_orchestra_kept_out command printf '%s\n' | LC_ALL=C command sort -u >"$o_scratch/kept-out"
	LC_ALL=C command comm -12 "$o_scratch/lands" "$o_scratch/kept-out" >"$o_scratch/strays"
	LC_ALL=C command comm -23 "$o_scratch/lands" "$o_scratch/own" | LC_ALL=C command comm -23 - "$o_scratch/kept-out" |
		_orchestra_without_renamed >>"$o_scratch/strays"
	command grep -i '^\.git/\|/\.git/\|^\.git$\|/\.git$' "$o_scratch/lands" >>"$o_scratch/strays"
	[ -s "$o_scratch/strays" ] || return 0
	o_detail="the audit stops it: $(command tr '\n' ' ' <"$o_scratch/strays" | _orchestra_shown)would change, which its branch did not change"
	return 1
}

# The branch's change of a file that the target has renamed is a change of the new name.
_orchestra_without_renamed() {
	_orchestra_git -C "$o_common" diff-tree -r -z -M50% -l0 --diff-filter=R --name-status "$o_fork" "$o_onto" -- |
		command tr '\n\000' '\001\n' | _orchestra_awk 'NR % 3 == 0' | LC_ALL=C command sort >"$o_scratch/renamed-to"
	LC_ALL=C command comm -23 - "$o_scratch/renamed-to"
}
