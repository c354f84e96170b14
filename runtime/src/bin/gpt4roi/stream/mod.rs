//! `gpt4roi stream`: detections of a camera in, answers out.

mod args;
#[cfg_attr(not(feature = "mqtt"), path = "no_broker.rs")]
mod broker;
mod notify;
mod status;

pub(crate) use args::Stream;

use crate::asking::Asking;
use crate::constraint::labels;
use crate::setup;
use anyhow::Context;
use broker::{Broker, Messages};
use gpt4roi::stream::{
    Feed, Hub, Manner, OUTPUT_VERSION, Policy, Record, Sink, Video, VideoOptions, work,
};
use gpt4roi::{BoxPolicy, CancelToken, EngineOptions};
use notify::Supervisor;
use status::Status;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the supervisor, the terminal and the clock for counters are looked after.
const TICK: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &Stream) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    args.check()?;
    let options = options(args)?;
    let manner = manner(args, options.boxes)?;
    let policy = policy(args, &manner)?;
    let mut broker = Broker::new(args)?;
    let input = input(args, broker.as_ref())?;
    let video = video(args)?;
    let question = policy.question.clone();
    let mut engine = setup::engine(&options)?;
    let hub = Arc::new(hub(policy, args, broker.as_ref()));
    listen(&hub, engine.cancel_token())?;
    let model = engine.info().name.clone();
    hub.say(&Record::Ready { v: OUTPUT_VERSION, model, question });
    if let Some(broker) = &mut broker {
        broker.connect(&hub)?;
    }
    let reader = read(&hub, args, input, video);
    look_after(&hub, args.stats_every);
    let cancel = engine.cancel_token();
    let result = work(&hub, &mut engine, &manner, &cancel);
    finish(&hub, broker, reader)?;
    match hub.take_error() {
        Some(e) => Err(e.into()),
        None => result.map(|()| crate::DONE).map_err(Into::into),
    }
}

fn policy(args: &Stream, manner: &Manner) -> anyhow::Result<Policy> {
    Ok(Policy {
        question: args.question()?,
        min_score: args.min_score,
        labels: args.only.clone(),
        prefer: args.prefer.clone(),
        order: args.order,
        max_regions: args.max_regions,
        queue: args.queue,
        deadline: args.deadline,
        refresh: args.refresh,
        min_overlap: args.min_overlap,
        max_distance: (args.max_distance > 0.0).then_some(args.max_distance),
        tokens_per_second: args.tokens_per_second,
        every_frame: manner.embed || !manner.labels.is_empty(),
    })
}

fn manner(args: &Stream, boxes: BoxPolicy) -> anyhow::Result<Manner> {
    Ok(Manner {
        sampling: args.sampling(),
        max_tokens: args.max_tokens,
        constraint: args.constraint()?,
        class_hint: args.class_hint,
        partial: args.partial,
        embed: args.embed,
        labels: labels(&args.label, args.labels.as_deref())?,
        compare: args.max_distance > 0.0,
        boxes,
        overlap: args.overlap,
    })
}

fn options(args: &Stream) -> anyhow::Result<EngineOptions> {
    let n_parallel = args.max_regions.min(255);
    let mut options = EngineOptions { n_parallel, ..args.engine_options()? };
    if args.overlap {
        setup::divide_threads(&mut options);
    }
    Ok(options)
}

fn open(path: Option<&Path>) -> anyhow::Result<Box<dyn BufRead + Send>> {
    let Some(path) = path else {
        return Ok(Box::new(BufReader::new(io::stdin())));
    };
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Where lines of the detector come from.
enum Input {
    Lines(Box<dyn BufRead + Send>),
    Broker(Messages),
}

fn input(args: &Stream, broker: Option<&Broker>) -> anyhow::Result<Input> {
    match broker.filter(|_| !args.mqtt_subscribe.is_empty()).map(Broker::messages) {
        Some(messages) => Ok(Input::Broker(messages)),
        None => Ok(Input::Lines(open(args.input.as_deref())?)),
    }
}

fn hub(policy: Policy, args: &Stream, broker: Option<&Broker>) -> Hub {
    let hub = Hub::new(policy, args.wait, sink(args.quiet, broker));
    match broker {
        Some(broker) => hub.with_link(broker.counters()),
        None => hub,
    }
}

/// A line a record, on its way at once.
fn sink(quiet: bool, broker: Option<&Broker>) -> Sink {
    let mut publish = broker.map(Broker::lines);
    Box::new(move |record| {
        let mut line = serde_json::to_vec(record)?;
        if let Some(publish) = &mut publish {
            publish(&line);
        }
        if quiet {
            return Ok(());
        }
        line.push(b'\n');
        let mut out = io::stdout().lock();
        out.write_all(&line)?;
        out.flush()
    })
}

/// Says the last line, when all that came from the broker is settled, and brings the broker what is left.
fn finish(hub: &Hub, broker: Option<Broker>, reader: Option<JoinHandle<()>>) -> anyhow::Result<()> {
    if let (Some(broker), Some(reader)) = (&broker, reader) {
        broker.stop_reading();
        // It ends with the message at hand; if it panicked, that has been said.
        let _ = reader.join();
    }
    hub.finish();
    broker.map_or(Ok(()), Broker::finish)
}

/// The first signal lets the frame at hand be finished, the second does not.
fn listen(hub: &Arc<Hub>, cancel: CancelToken) -> anyhow::Result<()> {
    let (hub, signals) = (hub.clone(), AtomicUsize::new(0));
    let handler = move || match signals.fetch_add(1, Ordering::Relaxed) {
        0 => hub.stop(),
        1 => cancel.cancel(),
        _ => std::process::exit(crate::INTERRUPTED.into()),
    };
    ctrlc::set_handler(handler).context("cannot listen for signals")
}

/// The video, if there is one, and how to read it.
type OpenVideo = (Box<dyn BufRead + Send>, VideoOptions);

fn video(args: &Stream) -> anyhow::Result<Option<OpenVideo>> {
    let options = args.video_options()?;
    let path = args.video.as_deref().map(|path| (path != "-").then(|| Path::new(path)));
    path.map(|path| Ok((open(path)?, options))).transpose()
}

/// Reads lines and video on threads of their own, which end with them or with the process. Gives the one that can be stopped.
fn read(
    hub: &Arc<Hub>,
    args: &Stream,
    input: Input,
    video: Option<OpenVideo>,
) -> Option<JoinHandle<()>> {
    let frames = video.map(|(reader, options)| {
        let frames = Arc::new(Video::new(args.wait));
        let (hub, theirs) = (hub.clone(), frames.clone());
        std::thread::spawn(move || {
            if let Err(e) = theirs.read(reader, options, |n, bad| hub.video(n, bad)) {
                eprintln!("gpt4roi: {e}");
            }
        });
        frames
    });
    let (hub, dialect, images) = (hub.clone(), args.dialect, args.images.clone());
    let can_be_stopped = matches!(input, Input::Broker(_));
    let reader = std::thread::spawn(move || {
        let feed = Feed::new(&hub, dialect, images);
        let mut feed = match frames {
            Some(frames) => feed.with_video(frames),
            None => feed,
        };
        match input {
            Input::Broker(messages) => messages.read(feed),
            Input::Lines(lines) => {
                if let Err(e) = feed.run(lines) {
                    eprintln!("gpt4roi: the input cannot be read any further: {e}");
                    hub.end();
                }
            }
        }
    });
    can_be_stopped.then_some(reader)
}

/// Tells the supervisor and the terminal how it goes, on a thread that ends with the process.
fn look_after(hub: &Arc<Hub>, stats_every: Option<Duration>) {
    let (hub, supervisor, mut status) = (hub.clone(), Supervisor::find(), Status::new());
    supervisor.ready();
    std::thread::spawn(move || {
        let mut said = Duration::ZERO;
        loop {
            std::thread::sleep(TICK);
            let stats = hub.stats();
            supervisor.alive(hub.silence(), &stats);
            status.show(&stats);
            if stats_every.is_some_and(|every| hub.now() >= said + every) {
                said = hub.now();
                hub.say(&Record::Stats(Box::new(stats)));
            }
        }
    });
}
