//! Detections of a camera in, answers out, for as long as they come.
//!
//! ```text
//! lines ──► dialect ──► Message ─┐                  ┌─► repeats, drops: at once
//!                                ├─► Hub: Scheduler ┤
//! video ──► frames ── matching ──┘                  └─► Job ──► worker ──► answers
//! ```
//!
//! A [`Scheduler`] decides what is described and what is known or left out, and does nothing else: no clock, no thread, no
//! file. The [`Hub`] gives it the time and says what it settles; readers and the [worker](work) share it. Memory is bounded
//! everywhere: frames that wait, tracks that are remembered, pictures that are kept.

mod describer;
mod dialect;
mod feed;
mod hub;
mod link;
mod matching;
mod message;
#[cfg(feature = "mqtt")]
pub mod mqtt;
mod record;
mod schedule;
mod source;
#[cfg(test)]
mod tests;
mod video;
mod watchdog;
mod worker;

pub use describer::Describer;
pub use dialect::{Dialect, Error as DialectError, Fault, Read, Reader};
pub use feed::Feed;
pub use hub::{Hub, Sink};
pub use link::{LinkCounters, LinkStats};
pub use matching::{Found, FrameStore, MAX_FRAMES};
pub use message::{
    Command, Detection, Detections, FrameRef, MAX_DETECTIONS, Message, Picture, Settings,
};
pub use record::{OUTPUT_VERSION, Record, Region, Stats};
pub use schedule::{
    Asked, Counters, Drops, Failure, Fate, Frame, Job, Known, MAX_TRACKS, Order, Policy, Reason,
    Said, Scheduler, Settled, Why,
};
pub use source::{Source, Video};
pub use video::{
    Colours, Error as VideoError, PixelFormat, VideoFormat, VideoFrame, VideoOptions, VideoReader,
};
pub use worker::{Manner, work};
