//! Detections of a camera in, answers out, for as long as they come.

mod message;

pub use message::{
    Command, Detection, Detections, FrameRef, MAX_DETECTIONS, Message, Picture, Settings,
};
