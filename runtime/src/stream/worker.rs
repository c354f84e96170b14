//! Looks at frames and describes what is in them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Detection;
use super::describer::Describer;
use super::hub::Hub;
use super::record::{Record, Region, encoded};
use super::schedule::{Asked, Failure, Frame, Job, Reason};
use super::source::{Source, in_pixels};
use super::watchdog::Watchdog;
use crate::caption::{Ahead, Questions};
use crate::error::{Error, ErrorKind, Result as CrateResult};
use crate::preprocess::{BoxPolicy, check_boxes};
use crate::{CancelToken, Constraint, Event, Image, PixelBox, Request, Sampling};

/// How regions are described.
#[derive(Clone, Debug)]
pub struct Manner {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Longest answer, in tokens.
    pub max_tokens: usize,
    /// What answers are allowed to be.
    pub constraint: Option<Constraint>,
    /// Tell the model what the detector takes a region for.
    pub class_hint: bool,
    /// Say answers piece by piece.
    pub partial: bool,
    /// Say the embedding of every region of a frame.
    pub embed: bool,
    /// Say how likely these are for every region of a frame.
    pub labels: Vec<String>,
    /// Compare embeddings with those of regions that are known.
    pub compare: bool,
    /// What to do with boxes that reach outside the picture.
    pub boxes: BoxPolicy,
    /// Look at the next frame while this one is described.
    pub overlap: bool,
}

/// Describes frames until there are no more.
///
/// # Errors
/// None of a frame, a region or the model: those are said. [`Error::Cancelled`] if `cancel` was used by somebody else.
pub fn work(
    hub: &Hub,
    model: &mut dyn Describer,
    manner: &Manner,
    cancel: &CancelToken,
) -> CrateResult<()> {
    let watchdog = Watchdog::new(cancel.clone());
    let prepared = Mutex::default();
    let mut worker = Worker { hub, model, manner, watchdog, prepared };
    while let Some(job) = hub.next() {
        worker.look(job);
        if cancel.is_cancelled() && !worker.watchdog.reset() {
            hub.stop();
            return Err(Error::Cancelled);
        }
    }
    Ok(())
}

/// A picture that was decoded while another was described.
type Prepared = Mutex<Option<(Arc<Frame>, Image)>>;

struct Worker<'a> {
    hub: &'a Hub,
    model: &'a mut dyn Describer,
    manner: &'a Manner,
    watchdog: Watchdog,
    prepared: Prepared,
}

impl Worker<'_> {
    fn look(&mut self, mut job: Job<Source>) {
        let deadline = job.frame.deadline;
        self.watchdog.set(deadline.and_then(|d| self.hub.instant(d)));
        match self.picture(&job) {
            Ok(image) => self.describe(&image, &mut job),
            Err(error) => self.fail(&mut job, Reason::NoPicture, &error),
        }
        self.hub.repeat_known(&mut job);
        self.watchdog.set(None);
    }

    fn picture(&self, job: &Job<Source>) -> Result<Image, String> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).take();
        match prepared {
            Some((frame, image)) if Arc::ptr_eq(&frame, &job.frame) => Ok(image),
            _ => job.picture.decode(),
        }
    }

    /// Settles all that is asked.
    fn fail(&self, job: &mut Job<Source>, reason: Reason, error: &str) {
        for asked in std::mem::take(&mut job.asked) {
            let failure = Failure { reason, error: Some(error.into()), ..Failure::default() };
            self.hub.failed(&job.frame, asked.detection, failure);
        }
    }

    fn describe(&mut self, image: &Image, job: &mut Job<Source>) {
        self.refuse_bad_boxes(image, job);
        let manner = self.manner;
        if manner.compare || manner.embed {
            let boxes = boxes(&job.frame, job.detections(), image);
            match self.model.embed(image, &boxes) {
                Ok(embeddings) => {
                    if manner.embed {
                        self.say_embeddings(job, &embeddings);
                    }
                    self.hub.compare(job, &embeddings);
                }
                Err(e) => return self.fail(job, self.reason(&e), &e.to_string()),
            }
        }
        if !manner.labels.is_empty()
            && let Err(e) = self.say_choices(image, job)
        {
            return self.fail(job, self.reason(&e), &e.to_string());
        }
        self.hub.repeat_known(job);
        self.answer(image, job);
    }

    /// A box that cannot be used must not keep the others from being pooled with it.
    fn refuse_bad_boxes(&self, image: &Image, job: &mut Job<Source>) {
        let (frame, policy) = (job.frame.clone(), self.manner.boxes);
        let check = |d: &Detection| {
            let b = in_pixels(&d.shape, frame.about.size, image.size());
            check_boxes(&[b], image.size(), policy).map(|_| ())
        };
        let usable = |d: &Detection| match check(d) {
            Ok(()) => true,
            Err(e) => {
                self.hub.failed(&frame, d.clone(), refused(&e.to_string()));
                false
            }
        };
        job.asked.retain(|a| usable(&a.detection));
        job.known.retain(|k| usable(&k.detection));
    }

    fn say_embeddings(&self, job: &Job<Source>, embeddings: &[Vec<f32>]) {
        for (detection, embedding) in job.detections().zip(embeddings) {
            let about = Region::about(&job.frame, detection, self.hub.now());
            let embedding = Some(encoded(embedding));
            self.hub.say(&Record::Embedding(Box::new(Region { embedding, ..about })));
        }
    }

    fn say_choices(&mut self, image: &Image, job: &Job<Source>) -> CrateResult<()> {
        let boxes = boxes(&job.frame, job.detections(), image);
        let all = self.model.choose(image, &boxes, &self.manner.labels)?;
        for (detection, choices) in job.detections().zip(all) {
            let about = Region::about(&job.frame, detection, self.hub.now());
            let region = Region { choices: Some(choices), ..about };
            self.hub.say(&Record::Choices(Box::new(region)));
        }
        Ok(())
    }

    fn reason(&self, e: &Error) -> Reason {
        match e.kind() {
            ErrorKind::Cancelled if self.watchdog.has_barked() => Reason::Deadline,
            ErrorKind::Cancelled => Reason::Stopped,
            _ => Reason::Failed,
        }
    }

    fn answer(&mut self, image: &Image, job: &mut Job<Source>) {
        let (mut waiting, mut requests) = (Vec::new(), Vec::new());
        for asked in std::mem::take(&mut job.asked) {
            match self.request(&job.frame, &asked, image) {
                Ok(request) => {
                    waiting.push(Some(asked));
                    requests.push(request);
                }
                Err(error) => self.hub.failed(&job.frame, asked.detection, refused(&error)),
            }
        }
        if requests.is_empty() {
            return;
        }
        let mut written: HashMap<usize, (String, usize)> = HashMap::new();
        let (hub, manner, frame) = (self.hub, self.manner, &job.frame);
        let mut ahead = || next_picture(hub, &self.prepared);
        let ahead: Option<Ahead> = if manner.overlap { Some(&mut ahead) } else { None };
        let results = self.model.describe(image, &requests, ahead, &mut |i, event| match event {
            Event::Text(text) => {
                let (so_far, pieces) = written.entry(i).or_default();
                so_far.push_str(text);
                *pieces += 1;
                hub.beat();
                if let (true, Some(asked)) = (manner.partial, &waiting[i]) {
                    let about = Region::about(frame, &asked.detection, hub.now());
                    let answer = Some(text.to_owned());
                    hub.say(&Record::Partial(Box::new(Region { answer, ..about })));
                }
            }
            Event::Done(answer) => {
                if let Some(asked) = waiting[i].take() {
                    hub.answered(frame, asked, answer.clone());
                }
            }
        });
        for (i, result) in results.into_iter().enumerate() {
            let (Some(asked), Err(e)) = (waiting[i].take(), result) else {
                continue;
            };
            let (partial, tokens) = written.remove(&i).unwrap_or_default();
            let (reason, error) = (self.reason(&e), Some(e.to_string()));
            self.hub.failed(frame, asked.detection, Failure { reason, error, partial, tokens });
        }
    }

    fn request(&self, frame: &Frame, asked: &Asked, image: &Image) -> Result<Request, String> {
        let Manner { sampling, max_tokens, class_hint, .. } = *self.manner;
        let detection = &asked.detection;
        let words = Questions::worded(&asked.question, detection.label.as_deref(), class_hint);
        let words = words.map_err(|e| e.to_string())?;
        let b = in_pixels(&detection.shape, frame.about.size, image.size());
        Ok(Request {
            boxes: vec![b; words.n_boxes],
            sampling,
            max_tokens,
            constraint: self.manner.constraint.clone(),
            ..Request::new(words.text)
        })
    }
}

/// Decodes the picture that will be next, once.
fn next_picture(hub: &Hub, prepared: &Prepared) -> Option<(Image, Vec<PixelBox>)> {
    let (frame, source, detections) = hub.upcoming()?;
    let mut prepared = prepared.lock().unwrap_or_else(PoisonError::into_inner);
    if prepared.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, &frame)) {
        return None;
    }
    let image = source.decode().ok()?;
    let boxes = boxes(&frame, detections.iter(), &image);
    *prepared = Some((frame, image.clone()));
    Some((image, boxes))
}

fn boxes<'a>(
    frame: &Frame,
    detections: impl Iterator<Item = &'a Detection>,
    image: &Image,
) -> Vec<PixelBox> {
    detections.map(|d| in_pixels(&d.shape, frame.about.size, image.size())).collect()
}

fn refused(error: &str) -> Failure {
    Failure { reason: Reason::Refused, error: Some(error.into()), ..Failure::default() }
}
