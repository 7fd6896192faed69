# Whether somebody wrote into the AGENT_NOTES.md on standard input: under What I Built, or anywhere where that heading is
# gone. Headings and comments do not count; nor does "none" or "tbd".
_orchestra_notes_filled() {
	_orchestra_awk '
		function says_something(line) {
			gsub(/^[] \t*_.>`[-]+|[] \t*_.>`[-]+$/, "", line)
			line = tolower(line)
			return line !~ /^(none|nothing|n\/a|na|tbd|todo|to do)?$/
		}
		{ text = text $0 "\n" }
		END {
			while ((from = index(text, "<!--")) && (to = index(substr(text, from + 4), "-->"))) {
				told = told substr(text, 1, from - 1)
				text = substr(text, from + to + 6)
			}
			count = split(told text, lines, /[\n\r]/)
			for (n = 1; n <= count; n++) {
				if (lines[n] ~ /^##?#?#?#?#?[ \t]/) {
					heading = lines[n]
					gsub(/^[# \t:]+|[# \t:]+$/, "", heading)
					heading = tolower(heading)
					if (heading == "what i built") found = 1
				} else if (says_something(lines[n])) {
					any = 1
					if (heading == "what i built") built = 1
				}
			}
			exit !(found ? built : any)
		}'
}
