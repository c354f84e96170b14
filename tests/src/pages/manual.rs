//! Pages for `man`.

use super::{Entry, Help, Program};
use std::fmt::Write;

/// The page `name` about a program, or one of its commands, from its help.
pub fn manual(name: &str, program: &Program, help: &Help) -> String {
    let mut page =
        format!(".TH {} 1 \"\" \"{} {}\"\n", name.to_uppercase(), program.name, program.version);
    section(&mut page, "Name", &format!("{} \\- {}", escape(name), escape(help.summary())));
    section(&mut page, "Synopsis", &escape(&help.usage));
    section(&mut page, "Description", &escape(&help.description));
    list(&mut page, "Arguments", &help.positionals);
    list(&mut page, "Options", &help.options);
    list(&mut page, "Commands", &help.commands);
    for (title, text) in &help.rest {
        let text: String = text.lines().map(|l| format!("{}\n", escape(l))).collect();
        section(&mut page, title, &format!(".nf\n{text}.fi"));
    }
    let others = others(name, program);
    if !others.is_empty() {
        section(&mut page, "See also", &others);
    }
    page
}

fn section(page: &mut String, title: &str, text: &str) {
    let _ = writeln!(page, ".SH {}\n{text}", title.to_uppercase());
}

fn list(page: &mut String, title: &str, entries: &[Entry]) {
    if entries.is_empty() {
        return;
    }
    let item = |e: &Entry| {
        let value = e.value.iter().map(|v| format!(" \\fI{}\\fR", escape(v))).collect::<String>();
        format!(".TP\n\\fB{}\\fR{value}\n{}\n", escape(&e.term), escape(&e.text))
    };
    let text: String = entries.iter().map(item).collect();
    section(page, title, text.trim_end());
}

/// The other pages about the program.
fn others(name: &str, program: &Program) -> String {
    let commands = program.commands.iter().map(|(c, _)| format!("{}-{c}", program.name));
    let all = [program.name.clone()].into_iter().chain(commands).filter(|n| n != name);
    let links: Vec<_> = all.map(|n| format!(".BR {} (1)", escape(&n))).collect();
    links.join(" ,\n")
}

/// Text that troff takes as it is.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}
