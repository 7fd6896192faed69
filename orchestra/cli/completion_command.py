"""``orchestra completion``: tab completion for bash, zsh and fish.

The scripts hold the verbs and options; agents and blueprints are read with git and the shell at each tab, so that no
tab starts Python. The agents are those of the fleet that was spawned last, from its refs.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestra.cli.call import Call
from orchestra.cli.console import print_result
from orchestra.cli.program import orchestra_tasks, task
from orchestra.errors import ExitCode

if TYPE_CHECKING:
    from orchestra.cli.program import OrchestraTask

_LISTS = r"""
_orchestra_agents() {
    local folder fleet
    folder=$(git rev-parse --git-common-dir 2>/dev/null) || return
    { read -r fleet <"$folder/orchestra/current"; } 2>/dev/null || return
    git for-each-ref --format='%(refname:lstrip=3)' "refs/orchestra/$fleet/" | sed 's,/.*,,' | uniq
}

_orchestra_branches() {
    git for-each-ref --format='%(refname:lstrip=2)' refs/heads/ 2>/dev/null
}

_orchestra_blueprints() {
    local top
    top=$(git rev-parse --show-toplevel 2>/dev/null) && ls "$top/blueprints" 2>/dev/null | sed -n 's/\.ya\{0,1\}ml$//p'
    printf '%s\n' @SHIPPED@
}

_orchestra_words() { # VERB PREVIOUS-WORD WORD
    case $3 in -*) _orchestra_options "$1"; return ;; esac
    case $2 in
    -b | --blueprint) _orchestra_blueprints; return ;;
    --graph) printf '%s\n' text mermaid dot; return ;;
    esac
    case $1 in
    '' | help) printf '%s\n' @VERBS@ ;;
    completion) printf '%s\n' bash zsh fish ;;
@WORDS@
    esac
}

_orchestra_options() { # VERB
    case $1 in
@OPTIONS@
    esac
    printf '%s\n' --help
}
"""
_BASH = r"""
_orchestra() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb= word
    if [[ $current == = ]]; then current=; elif [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == [a-z]* ]] && verb=$word && break
    done
    COMPREPLY=($(compgen -W "$(_orchestra_words "$verb" "$previous" "$current")" -- "$current"))
}
complete -o bashdefault -o default -F _orchestra orchestra
"""
_ZSH = r"""
_orchestra() {
    local verb=${${words[2,CURRENT-1]:#-*}[1]} previous=${words[CURRENT-1]}
    if compset -P '*='; then previous=${IPREFIX%=}; fi
    compadd -- ${(f)"$(_orchestra_words "$verb" "$previous" "$PREFIX")"} || _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u; }
compdef _orchestra orchestra
"""
_FISH = r"""
function __orchestra_agents
    set -l folder (git rev-parse --git-common-dir 2>/dev/null); or return
    test -r $folder/orchestra/current; and read -l fleet <$folder/orchestra/current; or return
    git for-each-ref --format='%(refname:lstrip=3)' refs/orchestra/$fleet/ | string replace -r '/.*' '' | uniq
end

function __orchestra_branches
    git for-each-ref --format='%(refname:lstrip=2)' refs/heads/ 2>/dev/null
end

function __orchestra_blueprints
    set -l top (git rev-parse --show-toplevel 2>/dev/null)
    test -n "$top"; and ls $top/blueprints 2>/dev/null | string match -rg '(.*)\.ya?ml$'
    printf '%s\n' @SHIPPED@
end

complete -c orchestra -f
complete -c orchestra -n __fish_use_subcommand -a '@VERBS@'
complete -c orchestra -n '__fish_seen_subcommand_from help' -a '@VERBS@'
complete -c orchestra -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'
complete -c orchestra -s b -l blueprint -x -a '(__orchestra_blueprints)'
"""


@task("SHELL", examples=("completion bash >>~/.bash_completion", "completion fish | source"), shared=())
def completion(call: Call, shell: str) -> ExitCode:
    """Print the completion of bash, zsh or fish.

    bash: `eval "$(orchestra completion bash)"` in ~/.bashrc; zsh the same in ~/.zshrc; fish:
    `orchestra completion fish >~/.config/fish/completions/orchestra.fish`. It completes verbs, options, agents and
    blueprints.
    """
    from orchestra.cli import ns

    tasks = orchestra_tasks(ns)
    texts = {"bash": _LISTS + _BASH, "zsh": f"#compdef orchestra\n{_LISTS}{_ZSH}", "fish": _FISH + _fish_verbs(tasks)}
    if shell not in texts:
        raise call.wrong_line(f"no completion for {shell!r}", hint="orchestra completion bash, zsh or fish")
    print_result(_filled(texts[shell], tasks).strip("\n"))
    return ExitCode.DONE


def _filled(text: str, tasks: Mapping[str, OrchestraTask]) -> str:
    from orchestra.blueprint.load import list_blueprints

    words, options = [], []
    for name, each in tasks.items():
        if kinds := _word_kinds(each):
            words.append(f"    {name}) {'; '.join(f'_orchestra_{kind}' for kind in kinds)} ;;")
        if each.verb.options:
            names = shlex.join(f"--{option.name}" for option in each.verb.options)
            options.append(f"    {name}) printf '%s\\n' {names} ;;")
    shipped = shlex.join(listed.name for listed in list_blueprints(None))
    filled = text.replace("@WORDS@", "\n".join(words)).replace("@OPTIONS@", "\n".join(options))
    return filled.replace("@VERBS@", shlex.join(tasks)).replace("@SHIPPED@", shipped)


def _word_kinds(each: OrchestraTask) -> list[str]:
    shown = " ".join(word.shown for word in each.verb.words)
    kinds = {"BLUEPRINT": "blueprints", "AGENT": "agents", "BRANCH": "branches"}
    return [functions for kind, functions in kinds.items() if kind in shown]


def _fish_verbs(tasks: Mapping[str, OrchestraTask]) -> str:
    lines = []
    for name, each in tasks.items():
        start = f"complete -c orchestra -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{start} -a '(__orchestra_{kind})'" for kind in _word_kinds(each)]
        for option in each.verb.options:
            letter = f" -s {option.letter}" if option.letter else ""
            value = " -x" if option.name == "graph" else " -r" if option.kind is not bool else ""
            if option.name != "blueprint":
                lines.append(f"{start} -l {option.name}{letter}{value} -d {shlex.quote(option.help)}")
    return "\n".join(lines)
