//! Completions for shells.

use super::{Entry, Help, Program};
use std::fmt::Write;

fn long_names(entries: &[Entry]) -> String {
    entries.iter().flat_map(Entry::names).collect::<Vec<_>>().join(" ")
}

/// Names of options whose value is a file or a folder, as a pattern of the shell.
fn with_path(help: &Help) -> String {
    let names = help.options.iter().filter(|o| o.takes_path()).flat_map(Entry::names);
    names.collect::<Vec<_>>().join("|")
}

/// Names of options with another value.
fn with_word(help: &Help) -> String {
    let other = |o: &&Entry| o.value.is_some() && !o.takes_path();
    help.options.iter().filter(other).flat_map(Entry::names).collect::<Vec<_>>().join("|")
}

/// For bash.
pub fn bash(program: &Program) -> String {
    let name = &program.name;
    let function = format!("_{}", name.replace('-', "_"));
    let mut text = format!("# Completions of {name} for bash.\n{function}() {{\n");
    text +=
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options=\n";
    text += "    COMPREPLY=()\n    case ${COMP_WORDS[1]} in\n";
    for (command, help) in &program.commands {
        let _ = writeln!(text, "    {command})\n        options=\"{}\"", long_names(&help.options));
        let values = [(with_path(help), "compgen -f -- \"$word\""), (with_word(help), "")];
        if values.iter().any(|(names, _)| !names.is_empty()) {
            text += "        case $before in\n";
            for (names, reply) in values.iter().filter(|(names, _)| !names.is_empty()) {
                let reply = match reply.is_empty() {
                    true => "return".into(),
                    false => format!("mapfile -t COMPREPLY < <({reply}) && return"),
                };
                let _ = writeln!(text, "        {names}) {reply} ;;");
            }
            text += "        esac\n";
        }
        text += "        ;;\n";
    }
    let top = [long_names(&program.help.commands), long_names(&program.help.options)].join(" ");
    let _ = writeln!(text, "    *) options=\"{top} --version\" ;;\n    esac");
    text += "    if [[ $word == -* || $COMP_CWORD -eq 1 ]]; then\n";
    text += "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n    else\n";
    text += "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n    fi\n}\n";
    let _ = writeln!(text, "complete -o filenames -F {function} {name}");
    text
}

/// For zsh.
pub fn zsh(program: &Program) -> String {
    let name = &program.name;
    let mut text = format!("#compdef {name}\n# Completions of {name} for zsh.\n");
    text += "local -a commands\ncommands=(\n";
    for entry in &program.help.commands {
        let _ = writeln!(text, "    '{}:{}'", entry.long(), zsh_text(entry.summary()));
    }
    text += ")\nif (( CURRENT == 2 )); then\n    _describe command commands\n";
    text += "    _arguments '--help[display usage information]' '--version[print the version]'\n    return\nfi\n";
    text += "local command=$words[2]\nshift words\n(( CURRENT-- ))\ncase $command in\n";
    for (command, help) in &program.commands {
        let _ = writeln!(text, "{command})\n    _arguments \\");
        for option in &help.options {
            for option_name in option.names() {
                let value = match (&option.value, option.takes_path()) {
                    (None, _) => String::new(),
                    (Some(v), true) => format!(":{v}:_files"),
                    (Some(v), false) => format!(":{v}:"),
                };
                let text_of = zsh_text(option.summary());
                let _ = writeln!(text, "        '*{option_name}[{text_of}]{value}' \\");
            }
        }
        text += "        '*:file:_files'\n    ;;\n";
    }
    text + "esac\n"
}

fn zsh_text(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\'' => out += "'\\''",
            '[' | ']' | ':' | '\\' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// For fish.
pub fn fish(program: &Program) -> String {
    let name = &program.name;
    let mut text = format!("# Completions of {name} for fish.\n");
    for entry in &program.help.commands {
        let about = fish_text(entry.summary());
        let command = entry.long();
        let _ = writeln!(
            text,
            "complete -c {name} -n __fish_use_subcommand -f -a {command} -d '{about}'"
        );
    }
    let _ = writeln!(
        text,
        "complete -c {name} -n __fish_use_subcommand -f -l version -d 'print the version'"
    );
    for (command, help) in &program.commands {
        for option in &help.options {
            let mut line = format!("complete -c {name} -n '__fish_seen_subcommand_from {command}'");
            for option_name in option.names() {
                match option_name.strip_prefix("--") {
                    Some(long) => line += &format!(" -l {long}"),
                    None => line += &format!(" -s {}", option_name.trim_start_matches('-')),
                }
            }
            match (&option.value, option.takes_path()) {
                (None, _) => {}
                (Some(_), true) => line += " -r -F",
                (Some(_), false) => line += " -x",
            }
            let _ = writeln!(text, "{line} -d '{}'", fish_text(option.summary()));
        }
    }
    text
}

fn fish_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
