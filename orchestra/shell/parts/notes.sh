# Succeeds if the AGENT_NOTES.md on standard input has text under "What I Built", or anywhere if that heading is missing.
# Headings and comments do not count, nor do words such as "none" and "tbd".
_orchestra_notes_filled() {
	_orchestra_awk '
		{ text = text $0 "\n" }
		END {
			while ((from = index(text, "<!--")) && (to = index(substr(text, from + 4), "-->"))) {
				rest = rest substr(text, 1, from - 1); text = substr(text, from + to + 6)
			}
			count = split(rest text, lines, /[\n\r]/)
			for (n = 1; n <= count; n++) {
				line = tolower(lines[n])
				if (line ~ /^##?#?#?#?#?[ \t]/) {
					gsub(/^[# \t:]+|[# \t:]+$/, "", line); if ((heading = line) == "what i built") heading_exists = 1; continue
				}
				gsub(/^[] \t*_.>`[-]+|[] \t*_.>`[-]+$/, "", line)
				if (line !~ /^(none|nothing|n\/a|na|tbd|todo|to do)?$/) filled[heading] = any = 1
			}
			exit !(heading_exists ? ("what i built" in filled) : any)
		}'
}
