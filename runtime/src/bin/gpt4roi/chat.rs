//! `gpt4roi chat`: one question a line.

use crate::args::Chat;
use crate::asking::Asking;
use crate::output::{self, TextPrinter};
use crate::setup::{self, Interrupt, Usage};
use gpt4roi::{Constraint, Conversation, Engine, Error, ErrorKind, Event, PixelBox, Request};
use std::io::{BufRead, IsTerminal, Write};

const HELP: &str = "\
A line is a question. Put boxes that it names for the first time in front of it:
  120,40,380,510 What is <region1> doing?
  10,20,90,80 What is the relation between region1 and <region2>?
/boxes  lists the boxes so far
/quit   ends";

pub(crate) fn run(args: &Chat) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    if args.image == "-" {
        return Err(
            Usage("chat reads questions from standard input: give a file as image".into()).into()
        );
    }
    let constraint = args.constraint()?;
    let options = args.engine_options()?;
    let image = setup::image(&args.image)?;
    let mut engine = setup::engine(&options)?;
    let interrupt = Interrupt::listen(engine.cancel_token())?;
    let mut conversation = engine.conversation(image);
    let mut boxes: Vec<PixelBox> = Vec::new();
    let interactive = std::io::stdin().is_terminal();
    if interactive {
        eprintln!("{HELP}");
    }
    loop {
        if interactive {
            eprint!("> ");
            std::io::stderr().flush()?;
        }
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok(crate::DONE);
        }
        match line.trim() {
            "" => {}
            "/quit" | "/exit" => return Ok(crate::DONE),
            "/help" => eprintln!("{HELP}"),
            "/boxes" => list(&boxes),
            command if command.starts_with('/') => eprintln!("no such command; try /help"),
            text => match turn(args, &constraint, &interrupt, &mut engine, &mut conversation, text)
            {
                Ok(new) => boxes.extend(new),
                // For a person the conversation goes on, for a script it does not.
                Err(e) if interactive && is_harmless(&e) => eprintln!("\ngpt4roi: {e:#}"),
                Err(e) => return Err(e),
            },
        }
    }
}

fn list(boxes: &[PixelBox]) {
    for (i, b) in boxes.iter().enumerate() {
        eprintln!("{}: {b}", i + 1);
    }
}

/// A mistake in the question, or an answer that was stopped.
fn is_harmless(e: &anyhow::Error) -> bool {
    let kind = e.downcast_ref::<Error>().map(Error::kind);
    matches!(kind, Some(ErrorKind::Input | ErrorKind::Cancelled))
}

/// Asks one line; returns its boxes.
fn turn(
    args: &Chat,
    constraint: &Option<Constraint>,
    interrupt: &Interrupt,
    engine: &mut Engine,
    conversation: &mut Conversation,
    text: &str,
) -> anyhow::Result<Vec<PixelBox>> {
    let (boxes, question) = split_boxes(text);
    let parse = |b: &&str| args.pixel_box(b, conversation.image().size());
    let boxes = boxes.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let mut printer = TextPrinter::new(engine.cancel_token());
    let constraint = constraint.clone();
    let request = Request { constraint, ..args.request(question, boxes.clone()) };
    let show = |event: Event| match event {
        Event::Text(text) if !args.json => printer.print(text),
        _ => {}
    };
    let result = interrupt.guard(|| engine.ask(conversation, &request, show));
    printer.check()?;
    let answer = result?;
    for warning in &answer.warnings {
        eprintln!("gpt4roi: warning: {warning}");
    }
    match args.json {
        true => output::json(&answer)?,
        false => {
            printer.print("\n");
            printer.check()?;
        }
    }
    Ok(boxes)
}

/// The boxes in front of a question, and the question.
fn split_boxes(text: &str) -> (Vec<&str>, &str) {
    let mut rest = text.trim_start();
    let mut boxes = Vec::new();
    loop {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let looks_like_a_box = word.matches(',').count() == 3
            && word.chars().all(|c| c.is_ascii_digit() || ",.-+eE".contains(c));
        if !looks_like_a_box {
            return (boxes, rest);
        }
        boxes.push(word);
        rest = after.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::split_boxes;

    #[test]
    fn boxes_stand_in_front() {
        assert_eq!(
            split_boxes("1,2,3,4 What is <region1>?"),
            (vec!["1,2,3,4"], "What is <region1>?")
        );
        let two = split_boxes(" 1,2,3,4  0.5,6,7,8.5 <region1> or <region2>?");
        assert_eq!(two, (vec!["1,2,3,4", "0.5,6,7,8.5"], "<region1> or <region2>?"));
        assert_eq!(split_boxes("And 1,2,3,4?"), (vec![], "And 1,2,3,4?"));
        assert_eq!(split_boxes("1,2,3,4"), (vec!["1,2,3,4"], ""));
    }
}
