"""The completion scripts themselves: what the commands take, written for each shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reslab.cli.completion import Command, Flag, Value

BASH = """\
# Completion of reslab's commands for bash: eval "$(reslab completion bash)"
# Adds to the answers the words of $1, or the names of files ($1 = -f) and folders (-d), that
# begin with what is typed. What finds nothing in old versions of bash falls back to files.
_reslab_add() {
    local line
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(if [ "${1:0:1}" = "-" ] && [ ${#1} = 2 ]; then compgen "$1" -- "$cur"
             else compgen -W "$1" -- "$cur"; fi)
}
_reslab_nothing() { compopt +o default +o bashdefault 2>/dev/null; }
_reslab_files() { compopt -o filenames 2>/dev/null; _reslab_add "$1"; }

_reslab() {
    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
    local path="" place=0 word flags="" valued="" i
    COMPREPLY=()
    # bash takes --model=resnet20 for three words.
    if [ "$cur" = "=" ]; then cur=""
    elif [ "$prev" = "=" ]; then prev="${COMP_WORDS[COMP_CWORD-2]}"; fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        case "$path" in
            "" | @GROUPS@)
                case "$word" in -*) ;; *) path="${path:+$path }$word"; _reslab_flags "$path" ;; esac
                continue ;;
        esac
        case "$word" in
            =) ;;
            -*) case " $valued " in
                    *" $word "*)
                        [ "${COMP_WORDS[i+1]}" = "=" ] && ((i++))
                        ((i++)) ;;
                esac ;;
            *) ((place++)) ;;
        esac
    done
    case "$path" in
        "") _reslab_add "@VERBS@ --help --version"; return ;;
@GROUP_CASES@
    esac
    case " $valued " in
        *" $prev "*) _reslab_value "$path" "$prev"; return ;;
    esac
    case "$cur" in
        -*) _reslab_add "$flags" ;;
        *) _reslab_place "$path" "$place" ;;
    esac
    return 0
}
"""


def bash(commands: Sequence[Command], groups: Mapping[str, str]) -> str:
    """Write the script for bash (3.2 or newer)."""
    verbs = " ".join(dict.fromkeys(command.words[0] for command in commands))
    cases = "\n".join(
        f'        {group}) _reslab_add "{_actions(commands, group)} --help"; return ;;'
        for group in groups
    )
    text = BASH.replace("@GROUPS@", " | ".join(groups)).replace("@VERBS@", verbs)
    lines = [text.replace("@GROUP_CASES@", cases)]
    lines += ["_reslab_flags() {", '    case "$1" in']
    for command in commands:
        every = " ".join(name for flag in command.flags for name in flag.names)
        valued = " ".join(name for flag in command.flags if flag.value for name in flag.names)
        lines.append(f'        {_key(command)}) flags="{every}"; valued="{valued}" ;;')
    lines += ["    esac", "}", "_reslab_value() {", '    case "$1 $2" in']
    shared: dict[str, list[str]] = {}
    for command in commands:
        for flag in command.flags:
            if flag.value is not None:
                done = _bash_value(flag.value)
                names = [shlex.quote(f"{' '.join(command.words)} {name}") for name in flag.names]
                shared.setdefault(done, []).extend(names)
    lines += [f"        {' | '.join(keys)}) {done} ;;" for done, keys in shared.items()]
    lines += ["    esac", "}", "_reslab_place() {", '    case "$1 $2" in']
    for command in commands:
        for number, value in enumerate(command.positionals):
            last = number == len(command.positionals) - 1
            star = "*" if command.repeats and last else number
            pattern = f'"{" ".join(command.words)} "{star}'
            lines.append(f"        {pattern}) {_bash_value(value)} ;;")
    lines += ["        *) _reslab_nothing ;;", "    esac", "}"]
    lines.append("complete -o bashdefault -o default -F _reslab reslab")
    return "\n".join(lines) + "\n"


def _bash_value(value: Value) -> str:
    parts = [f'_reslab_add "{" ".join(value.words)}"'] if value.words else []
    if value.files:
        parts.append(f"_reslab_files {'-d' if value.files == 'folders' else '-f'}")
    else:
        parts.append("_reslab_nothing")
    return "; ".join(parts)


ZSH = """\
#compdef reslab
# Completion of reslab's commands for zsh: eval "$(reslab completion zsh)", or this text as the
# file _reslab in a folder of $fpath.
_reslab() {
    local curcontext="$curcontext" state line
    typeset -A opt_args
    _arguments -C '(- *)--help[how to use it]' '(- *)--version[which version this is]' \\
        '1:command:_reslab_commands' '*::argument:->arguments'
    [[ $state == arguments ]] || return
    case $words[1] in
"""
ZSH_END = """\
# Called by the completion system where this is a file of $fpath; made known where it is read.
if [[ ${funcstack[1]} == _reslab ]]; then
    _reslab "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
    compdef _reslab reslab
fi
"""


def zsh(commands: Sequence[Command], groups: Mapping[str, str]) -> str:
    """Write the script for zsh."""
    lines = [ZSH.rstrip("\n")]
    for group in groups:
        lines.append(f"        {group}) _reslab_group_{group} ;;")
    for command in commands:
        if len(command.words) == 1:
            lines.append(f"        {command.words[0]}) {_function(command)} ;;")
    lines += ["    esac", "}"]
    helps = dict(groups)
    for command in commands:
        if len(command.words) == 1:
            helps[command.words[0]] = command.help
    lines += _zsh_describe("_reslab_commands", "command", helps)
    for group in groups:
        own = [command for command in commands if command.words[0] == group]
        lines += [
            f"_reslab_group_{group}() {{",
            "    local state line",
            "    typeset -A opt_args",
            f"    _arguments -C '1:command:_reslab_{group}_commands' '*::argument:->arguments'",
            "    [[ $state == arguments ]] || return",
            "    case $words[1] in",
            *(f"        {command.words[1]}) {_function(command)} ;;" for command in own),
            "    esac",
            "}",
        ]
        texts = {command.words[1]: command.help for command in own}
        lines += _zsh_describe(f"_reslab_{group}_commands", "command", texts)
    for command in commands:
        lines += _zsh_command(command)
    return "\n".join([*lines, ZSH_END])


def _zsh_describe(name: str, what: str, helps: Mapping[str, str]) -> list[str]:
    rows = [f"        {shlex.quote(f'{word}:{text}')}" for word, text in helps.items()]
    return [
        f"{name}() {{",
        "    local -a found=(",
        *rows,
        "    )",
        f"    _describe {what} found",
        "}",
    ]


def _zsh_command(command: Command) -> Iterator[str]:
    yield f"{_function(command)}() {{"
    yield "    _arguments -s -S \\"
    for flag in command.flags:
        for name in flag.names:
            others = f"({' '.join(flag.names)})" if len(flag.names) > 1 else ""
            equals = "=" if flag.value is not None and name.startswith("--") else ""
            what = f"{others}{name}{equals}[{_zsh_text(flag.help)}]"
            yield f"        {shlex.quote(what + _zsh_value(flag.value))} \\"
    for number, value in enumerate(command.positionals):
        last = number == len(command.positionals) - 1
        place = "*" if command.repeats and last else str(number + 1)
        yield f"        {shlex.quote(place + _zsh_value(value))} \\"
    yield "        && return 0"
    yield "}"


def _zsh_value(value: Value | None) -> str:
    if value is None:
        return ""
    label, words = _zsh_text(value.label), " ".join(value.words)
    files = {"files": "_files", "folders": "_files -/", "": ""}[value.files]
    if words and files:
        return f': : _alternative "names\\:{label}\\:({words})" "files\\:file\\:{files}"'
    return f":{label}:{f'({words})' if words else files or ' '}"


def _zsh_text(text: str) -> str:
    """Make a text safe inside the brackets and colons of _arguments."""
    for sign in ("\\", "[", "]", ":", "`", "$", '"'):
        text = text.replace(sign, f"\\{sign}")
    return text


FISH = """\
# Completion of reslab's commands for fish: reslab completion fish | source
function __reslab_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l path
    for word in $words
        if not string match -q -- '-*' $word
            set -a path $word
            if test (count $path) -eq 2; or not contains -- $word @GROUPS@
                break
            end
        end
    end
    test "$path" = "$argv"
end
complete -c reslab -f
complete -c reslab -n '__reslab_at' -l help -d 'how to use it'
complete -c reslab -n '__reslab_at' -l version -d 'which version this is'
"""


def fish(commands: Sequence[Command], groups: Mapping[str, str]) -> str:
    """Write the script for fish (3.1 or newer)."""
    lines = [FISH.replace("@GROUPS@", " ".join(groups)).rstrip("\n")]
    for group, text in groups.items():
        lines.append(f"complete -c reslab -n '__reslab_at' -a {group} -d {_fish_quote(text)}")
    for command in commands:
        above, name = command.words[:-1], command.words[-1]
        at = " ".join(("__reslab_at", *above))
        lines.append(f"complete -c reslab -n '{at}' -a {name} -d {_fish_quote(command.help)}")
    for command in commands:
        at = f"complete -c reslab -n '__reslab_at {' '.join(command.words)}'"
        lines += [f"{at} {_fish_flag(flag)}" for flag in command.flags]
        words = [word for value in command.positionals for word in value.words]
        if words:
            label = next(value.label for value in command.positionals if value.words)
            lines.append(f"{at} -a {_fish_quote(' '.join(words))} -d {_fish_quote(label)}")
        if any(value.files for value in command.positionals):
            lines.append(f"{at} -F")
    return "\n".join(lines) + "\n"


def _fish_flag(flag: Flag) -> str:
    parts = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names]
    if flag.help:
        parts.append(f"-d {_fish_quote(flag.help)}")
    if flag.value is None:
        return " ".join(parts)
    parts.append("-r -F" if flag.value.files == "files" else "-x")
    words = " ".join(flag.value.words)
    if flag.value.files == "folders":
        words += " (__fish_complete_directories)"
    if words:
        parts.append(f"-a {_fish_quote(words)}")
    return " ".join(parts)


def _fish_quote(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"


def _actions(commands: Sequence[Command], group: str) -> str:
    return " ".join(command.words[1] for command in commands if command.words[0] == group)


def _key(command: Command) -> str:
    return shlex.quote(" ".join(command.words))


def _function(command: Command) -> str:
    return "_reslab_" + "_".join(command.words)
