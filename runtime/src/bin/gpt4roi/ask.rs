//! `gpt4roi ask`.

use crate::args::Ask;
use crate::asking::Asking;
use crate::output::{self, TextPrinter};
use crate::setup::{self, Interrupt, Usage};
use gpt4roi::{Answer, Engine, Event, PixelBox, Request};
use serde::Serialize;

#[derive(Serialize)]
struct Output<'a> {
    question: &'a str,
    boxes: Vec<[f64; 4]>,
    #[serde(flatten)]
    answer: &'a Answer,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Vec<TokenLogprob>>,
}

/// A token of the answer, role and stop marks included; `logprob` is by the model's own distribution.
#[derive(Serialize)]
struct TokenLogprob {
    token: String,
    logprob: f32,
}

fn logprobs(engine: &Engine, answer: &Answer) -> Vec<TokenLogprob> {
    let tokens = answer.tokens.iter().zip(&answer.token_logprobs);
    tokens.map(|(&id, &logprob)| TokenLogprob { token: engine.token_text(id), logprob }).collect()
}

pub(crate) fn run(args: &Ask) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    if args.logprobs && !args.json {
        return Err(Usage("--logprobs adds to what --json prints: give both".into()).into());
    }
    let constraint = args.constraint()?;
    let options = args.engine_options()?;
    let image = setup::image(&args.image)?;
    let parse = |b: &String| args.pixel_box(b, image.size());
    let boxes = args.boxes.iter().map(parse).collect::<Result<Vec<PixelBox>, _>>()?;
    let mut engine = setup::engine(&options)?;
    let interrupt = Interrupt::listen(engine.cancel_token())?;
    let mut conversation = engine.conversation(image);
    let request = Request { constraint, ..args.request(&args.question, boxes) };
    let mut printer = TextPrinter::new(engine.cancel_token());
    let show = |event: Event| match event {
        Event::Text(text) if !args.json => printer.print(text),
        _ => {}
    };
    let result = interrupt.guard(|| engine.ask(&mut conversation, &request, show));
    printer.check()?;
    let answer = result?;
    for warning in &answer.warnings {
        eprintln!("gpt4roi: warning: {warning}");
    }
    if args.json {
        let boxes = request.boxes.iter().map(|b| [b.x1, b.y1, b.x2, b.y2]).collect();
        let logprobs = args.logprobs.then(|| logprobs(&engine, &answer));
        output::json(&Output { question: &args.question, boxes, answer: &answer, logprobs })?;
    } else {
        printer.print("\n");
        printer.check()?;
    }
    if args.verbose > 0 {
        timings(&answer);
    }
    Ok(crate::DONE)
}

fn timings(answer: &Answer) {
    for stage in gpt4roi::Stage::ALL {
        let ms = answer.timings_ms.get(stage).as_secs_f64() * 1e3;
        eprintln!("{:<12}{ms:>10.1} ms", stage.name());
    }
    let (p, r, g) = (answer.n_prompt, answer.n_reused, answer.n_generated);
    eprintln!("{p} prompt positions ({r} reused), {g} tokens generated");
}
