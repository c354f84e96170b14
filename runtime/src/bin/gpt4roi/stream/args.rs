//! What can be said to `gpt4roi stream`.

use crate::asking::asking_command;
use crate::setup::Usage;
use gpt4roi::caption::{Questions, Task};
use gpt4roi::stream::{Colours, Dialect, Order, PixelFormat, VideoFormat, VideoOptions};
use std::path::PathBuf;
use std::time::Duration;

asking_command! {
    /// Describe what a detector sees, as long as it sees something.
    ///
    /// Lines of a detector come in, one frame each, and one JSON object a region comes out: an answer where a region is new
    /// or has changed, the last answer again where it has not, and otherwise why there is none. The newest frame
    /// wins: frames that come faster than the model answers are dropped and counted.
    #[argh(
        subcommand,
        name = "stream",
        example = "Boxes of a detector, each line with the path of its picture:
  detector | {command_name} --deadline 2s",
        example = "Boxes and frames of a camera:
  ffmpeg -i rtsp://camera/ -f yuv4mpegpipe - | {command_name} --video - --input boxes.fifo",
        example = "Events of Frigate and answers by MQTT, with frames of its camera:
  ffmpeg -i rtsp://camera/ -f yuv4mpegpipe - | {command_name} --video - --dialect frigate \\
    --mqtt mqtts://me@broker --mqtt-password-file secret.txt --mqtt-subscribe frigate/events --quiet",
        example = "A recording, every frame of it:
  {command_name} --input boxes.jsonl --wait --greedy > answers.jsonl",
        note = "Dialects of the input: gpt4roi, ultralytics, deepstream, frigate, coco, mot. In each of them \
                a line may be a command: {{\"cmd\":\"stats\"}}, {{\"cmd\":\"set\",\"question\":...}}, {{\"cmd\":\"forget\"}} \
                or {{\"cmd\":\"stop\"}}.",
        note = "SIGINT and SIGTERM end the stream when the frame at hand is done, with exit code 0; a second one at once."
    )]
    struct Stream {
        /// file or named pipe of detections, one frame a line (default: standard input)
        #[argh(option, arg_name = "file")]
        pub(crate) input: Option<PathBuf>,
        /// dialect of the lines (default auto: by the first one)
        #[argh(option, default = "None", from_str_fn(dialect))]
        pub(crate) dialect: Option<Dialect>,
        /// folder that paths of pictures are relative to (default: the current one)
        #[argh(option, arg_name = "dir")]
        pub(crate) images: Option<PathBuf>,
        /// file or named pipe of a video whose frames the lines are about, - for standard input
        #[argh(option, arg_name = "file")]
        pub(crate) video: Option<String>,
        /// format of the video: y4m, mjpeg or raw (default auto: found out)
        #[argh(option, arg_name = "format")]
        pub(crate) video_format: Option<String>,
        /// pixels of a raw video: rgb24, bgr24, rgba, bgra, gray, nv12, nv21, yuv420p, yuv422p, yuv444p or yuyv422
        #[argh(option, arg_name = "format")]
        pub(crate) pixel_format: Option<PixelFormat>,
        /// size of a raw video, as in 1280x720
        #[argh(option, arg_name = "wxh", from_str_fn(size))]
        pub(crate) size: Option<(u32, u32)>,
        /// bytes to whose multiples rows of y4m or raw video are padded, as GStreamer pads them to 4 (default 1: not at all)
        #[argh(option, arg_name = "bytes")]
        pub(crate) row_align: Option<u32>,
        /// how YUV was made: bt601, bt709, bt601-full or bt709-full (default: limited range unless y4m says otherwise,
        /// bt709 from 720 rows on)
        #[argh(option, arg_name = "name")]
        pub(crate) colours: Option<Colours>,
        /// frames a second, for videos that do not say so
        #[argh(option, arg_name = "n")]
        pub(crate) fps: Option<f64>,
        /// what to ask of each box, which it calls <region1>
        #[argh(option, arg_name = "text")]
        pub(crate) prompt: Option<String>,
        /// what to ask instead, in the words of training: short (default), detail, category,
        /// reference (with the place) or appearance (without it)
        #[argh(option)]
        pub(crate) task: Option<Task>,
        /// tell the model what the detector takes a box for
        #[argh(switch)]
        pub(crate) class_hint: bool,
        /// drop answers that come later than this after their frame, as in 2s or 500ms (default: none)
        #[argh(option, arg_name = "time", from_str_fn(time))]
        pub(crate) deadline: Option<Duration>,
        /// ask again when an answer is older than this, as in 30s or 5m (default: never)
        #[argh(option, arg_name = "time", from_str_fn(time))]
        pub(crate) refresh: Option<Duration>,
        /// ask again when a box overlaps less than this (intersection over union) with the one asked about (default 0.5)
        #[argh(option, default = "0.5", arg_name = "share")]
        pub(crate) min_overlap: f64,
        /// ask again when a region's embedding is further than this (1 - cosine) from the one asked about; 0 does not
        /// compare them (default 0.1)
        #[argh(option, default = "0.1", arg_name = "distance")]
        pub(crate) max_distance: f32,
        /// drop detections below this score (default 0)
        #[argh(option, default = "0.0", arg_name = "score")]
        pub(crate) min_score: f64,
        /// describe this label only; may be repeated
        #[argh(option, arg_name = "label")]
        pub(crate) only: Vec<String>,
        /// describe this label before others; may be repeated, the first goes first
        #[argh(option, arg_name = "label")]
        pub(crate) prefer: Vec<String>,
        /// what goes first otherwise: score (default) or size
        #[argh(option, default = "Order::Score")]
        pub(crate) order: Order,
        /// most regions of a frame that are described (default 32)
        #[argh(option, default = "32", arg_name = "n")]
        pub(crate) max_regions: usize,
        /// tokens a second that answers may take on average (default: as many as there are)
        #[argh(option, arg_name = "n")]
        pub(crate) tokens_per_second: Option<f64>,
        /// frames of a camera that may wait; the oldest is dropped for a newer one (default 1)
        #[argh(option, default = "1", arg_name = "n")]
        pub(crate) queue: usize,
        /// drop no frame: let the input wait, as for a recording
        #[argh(switch)]
        pub(crate) wait: bool,
        /// print the embedding of every region of a frame first (base64 of float16)
        #[argh(switch)]
        pub(crate) embed: bool,
        /// print how likely this label is for every region of a frame first; may be repeated
        #[argh(option)]
        pub(crate) label: Vec<String>,
        /// file of such labels, one a line
        #[argh(option, arg_name = "file")]
        pub(crate) labels: Option<PathBuf>,
        /// print answers piece by piece too
        #[argh(switch)]
        pub(crate) partial: bool,
        /// encode the next frame while this one is described; the image side gets a third of the threads
        #[argh(switch)]
        pub(crate) overlap: bool,
        /// message broker, as in mqtt://user@host:1883, or mqtts:// with TLS (MQTT 5; Cargo feature mqtt)
        #[argh(option, arg_name = "url")]
        pub(crate) mqtt: Option<String>,
        /// take detections from this topic instead of --input; + and # as wildcards; may be repeated
        #[argh(option, arg_name = "topic")]
        pub(crate) mqtt_subscribe: Vec<String>,
        /// publish lines of the output here (default gpt4roi/answers)
        #[argh(option, arg_name = "topic")]
        pub(crate) mqtt_publish: Option<String>,
        /// publish here, retained, whether the stream is online or offline (default gpt4roi/status)
        #[argh(option, arg_name = "topic")]
        pub(crate) mqtt_status: Option<String>,
        /// what the broker knows the stream by (default: by chance)
        #[argh(option, arg_name = "id")]
        pub(crate) mqtt_client_id: Option<String>,
        /// file with the broker's password (default: the environment variable GPT4ROI_MQTT_PASSWORD)
        #[argh(option, arg_name = "file")]
        pub(crate) mqtt_password_file: Option<PathBuf>,
        /// certificates of the authorities that may vouch for the broker (default: those of the system)
        #[argh(option, arg_name = "file")]
        pub(crate) mqtt_ca: Option<PathBuf>,
        /// certificate of the stream, for brokers that ask for one
        #[argh(option, arg_name = "file")]
        pub(crate) mqtt_cert: Option<PathBuf>,
        /// its private key
        #[argh(option, arg_name = "file")]
        pub(crate) mqtt_key: Option<PathBuf>,
        /// lines that wait while the broker is away; the oldest is dropped for a new one (default 1000)
        #[argh(option, arg_name = "n")]
        pub(crate) mqtt_queue: Option<usize>,
        /// with --mqtt, print nothing on standard output
        #[argh(switch)]
        pub(crate) quiet: bool,
        /// print the counters this often, as in 60s (they are printed at the end in any case)
        #[argh(option, arg_name = "time", from_str_fn(time))]
        pub(crate) stats_every: Option<Duration>,
    }
}

impl Stream {
    /// Options that contradict each other or make no sense.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let rules = [
            (
                self.prompt.is_some() && self.task.is_some(),
                "--prompt and --task exclude each other",
            ),
            (
                self.video.as_deref() == Some("-")
                    && self.input.is_none()
                    && self.mqtt_subscribe.is_empty(),
                "the video is on standard input: give --input for the detections",
            ),
            (
                self.video.is_none()
                    && (self.video_format.is_some()
                        || self.pixel_format.is_some()
                        || self.size.is_some()
                        || self.row_align.is_some()
                        || self.colours.is_some()
                        || self.fps.is_some()),
                "--video-format, --pixel-format, --size, --row-align, --colours and --fps need --video",
            ),
            (
                self.mqtt.is_none() && self.names_broker(),
                "--mqtt-... and --quiet need --mqtt, the address of a broker",
            ),
            (
                self.input.is_some() && !self.mqtt_subscribe.is_empty(),
                "--input and --mqtt-subscribe exclude each other: both are where detections come from",
            ),
            (self.fps.is_some_and(|fps| !(fps > 0.0 && fps <= 1e6)), "--fps is a number above 0"),
            (
                self.normalized || self.box_format != gpt4roi::BoxFormat::Xyxy,
                "the lines of a stream say themselves what their boxes are: leave --normalized and --box-format out",
            ),
            (!share(self.min_overlap), "--min-overlap is a share, from 0 to 1"),
            (!self.min_score.is_finite(), "--min-score is a number"),
            (
                !(0.0..=2.0).contains(&self.max_distance),
                "--max-distance is one less a cosine, from 0 to 2",
            ),
            (
                self.tokens_per_second.is_some_and(|t| !(t > 0.0 && t.is_finite())),
                "--tokens-per-second is a number above 0",
            ),
            (self.max_regions == 0, "--max-regions is at least 1"),
            (self.queue == 0, "--queue is at least 1"),
            (
                self.wait && self.deadline.is_some(),
                "--wait drops nothing, --deadline does: leave one of them out",
            ),
        ];
        let broken = rules.into_iter().find(|(broken, _)| *broken);
        broken.map_or(Ok(()), |(_, rule)| Err(Usage(rule.into())))
    }

    /// Whether there are options of a broker.
    fn names_broker(&self) -> bool {
        let texts = [&self.mqtt_publish, &self.mqtt_status, &self.mqtt_client_id];
        let files = [&self.mqtt_password_file, &self.mqtt_ca, &self.mqtt_cert, &self.mqtt_key];
        self.quiet
            || !self.mqtt_subscribe.is_empty()
            || self.mqtt_queue.is_some()
            || texts.iter().any(|t| t.is_some())
            || files.iter().any(|f| f.is_some())
    }

    /// How to read the video.
    pub(crate) fn video_options(&self) -> Result<VideoOptions, Usage> {
        let raw = self.pixel_format.zip(self.size);
        let format = match (self.video_format.as_deref(), raw) {
            (None | Some("raw"), Some((pixel, size))) => Some(VideoFormat::Raw { pixel, size }),
            (Some("raw"), None) => {
                return Err(Usage("a raw video needs --pixel-format and --size".into()));
            }
            _ if self.pixel_format.is_some() || self.size.is_some() => {
                return Err(Usage(
                    "--pixel-format and --size belong together, for raw video".into(),
                ));
            }
            (Some("y4m"), _) => Some(VideoFormat::Y4m),
            (Some("mjpeg"), _) => Some(VideoFormat::Mjpeg),
            (None | Some("auto"), _) => None,
            (Some(other), _) => {
                return Err(Usage(format!(
                    "--video-format {other}: choose y4m, mjpeg, raw or auto"
                )));
            }
        };
        let (colours, row_align) = (self.colours, self.row_align);
        Ok(VideoOptions { format, fps: self.fps, colours, row_align })
    }

    /// What is asked about a detection that brings no question.
    pub(crate) fn question(&self) -> Result<String, gpt4roi::Error> {
        match &self.prompt {
            None => Ok(self.task.unwrap_or_default().question()),
            Some(prompt) => {
                Questions::new(std::slice::from_ref(prompt), false)?;
                Ok(prompt.clone())
            }
        }
    }
}

fn dialect(text: &str) -> Result<Option<Dialect>, String> {
    match text {
        "auto" => Ok(None),
        text => text.parse().map(Some).map_err(|e: gpt4roi::stream::DialectError| e.to_string()),
    }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides.ok_or_else(|| "give a size as in 1280x720".into())
}

/// A length of time with its unit; seconds without one.
fn time(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("give a time as in 500ms, 2s, 5m or 1h".into()),
    };
    let seconds = number.parse::<f64>().ok().map(|n| n * scale);
    match seconds.filter(|s| *s > 0.0 && *s <= 1e9) {
        Some(seconds) => Ok(Duration::from_secs_f64(seconds)),
        None => Err("give a time above 0, as in 500ms, 2s, 5m or 1h".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, ms) in [("500ms", 500), ("2s", 2000), ("1.5", 1500), ("5m", 300_000)] {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "0", "1d", "nan", "inf", "1e300h", "2 s"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
