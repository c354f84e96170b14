//! The loop over a data set.

use super::mark::shown;
use super::record::encode_ms;
use super::{Ahead, Answerer, Asked, Error, Mark, Questions, Record, Shard, Sink, answer_seed};
use crate::dataset::{self, Entry, Region};
use crate::error::{Error as CrateError, ErrorKind, Result};
use crate::{Answer, Constraint, Image, PixelBox, Request, RgbImage8, Sampling, load_image};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// What to ask, and of which images.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What regions are asked.
    pub questions: Questions,
    /// How tokens are chosen; a seed is one of the run, from which each answer's own is made.
    pub sampling: Sampling,
    /// Longest answer, in tokens.
    pub max_tokens: usize,
    /// What answers are allowed to be.
    pub constraint: Option<Constraint>,
    /// The part of the data set.
    pub shard: Shard,
    /// Stop at the first image or region that cannot be captioned.
    pub strict: bool,
    /// Load and encode the next image while this one is asked about.
    pub overlap: bool,
}

impl Default for Plan {
    /// A short description of every region, with the original's settings.
    fn default() -> Plan {
        let Request { sampling, max_tokens, .. } = Request::new("");
        let (questions, shard) = (Questions::default(), Shard::WHOLE);
        Plan {
            questions,
            sampling,
            max_tokens,
            constraint: None,
            shard,
            strict: false,
            overlap: false,
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Images of the data set that were passed, of other shards too.
    pub n_images: usize,
    /// Images of this run.
    pub images: usize,
    /// Images that an earlier run had done.
    pub skipped: usize,
    /// Their regions, without those skipped.
    pub regions: usize,
    /// Answers.
    pub answers: usize,
    /// Images and questions that failed.
    pub errors: usize,
    /// Tokens of the answers.
    pub tokens: usize,
}

/// An image, or a question about a region, that failed and was left out.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The image; absent if a part of the data set cannot be read.
    pub image: Option<&'a str>,
    /// The region's id, if it is only that.
    pub region: Option<&'a str>,
    /// What is wrong.
    pub error: &'a str,
}

/// An image with all that was said about it.
#[derive(Clone, Copy, Debug)]
pub struct Captioned<'a> {
    /// Its index in the data set, from 0.
    pub index: usize,
    /// What it is called there.
    pub name: &'a str,
    /// The image; absent if it cannot be read.
    pub pixels: Option<&'a RgbImage8>,
    /// The lines about it.
    pub records: &'a [Record],
}

/// Hears how a run gets on. Every method does nothing unless it is written.
pub trait Observer {
    /// An image is skipped: an earlier run has done it.
    fn skipped(&mut self) {}
    /// An answer is complete.
    fn answered(&mut self, _image: &str, _answer: &Answer) {}
    /// Something failed and is left out.
    fn problem(&mut self, _problem: &Problem) {}
    /// An image has all its lines, and is written next.
    ///
    /// # Errors
    /// Any; it ends the run, and the image counts as not done.
    fn captioned(&mut self, _image: &Captioned) -> std::result::Result<(), Error> {
        Ok(())
    }
    /// An image is written.
    fn written(&mut self) {}
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Observer for Quiet {}

/// Asks about every region of a data set and hands the answers on, image by image.
pub struct Captioner<'a, A: ?Sized> {
    answerer: &'a mut A,
    plan: &'a Plan,
    sink: &'a mut dyn Sink,
    observer: &'a mut dyn Observer,
    summary: Summary,
    /// An image that was loaded while another was asked about.
    prepared: Prepared,
}

/// A path, and what was found there.
type Prepared = Mutex<Option<(PathBuf, Image)>>;

impl<'a, A: Answerer + ?Sized> Captioner<'a, A> {
    /// Prepares a run.
    pub fn new(
        answerer: &'a mut A,
        plan: &'a Plan,
        sink: &'a mut dyn Sink,
        observer: &'a mut dyn Observer,
    ) -> Captioner<'a, A> {
        let (summary, prepared) = (Summary::default(), Prepared::default());
        Captioner { answerer, plan, sink, observer, summary, prepared }
    }

    /// What was done so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Captions all images of the plan's shard that the sink does not have yet. An image or region
    /// that cannot be captioned becomes a record that says why.
    ///
    /// # Errors
    /// [`CrateError::Cancelled`] if somebody asked to stop: the image at hand is not done then.
    /// [`Error::Broken`] if the plan is strict; [`Error::Changed`] if the sink's images are not those
    /// of the data set; where the sink cannot write or the device fails.
    pub fn run(
        &mut self,
        entries: impl Iterator<Item = std::result::Result<Entry, dataset::Error>>,
    ) -> Result<()> {
        let n_done = self.sink.done().len();
        let mut entries = entries.enumerate().peekable();
        while let Some((index, entry)) = entries.next() {
            self.summary.n_images = index + 1;
            if !self.plan.shard.holds(index) {
                continue;
            }
            if self.summary.skipped < n_done {
                self.skip(index, entry.ok().as_ref())?;
                continue;
            }
            if self.answerer.is_cancelled() {
                return Err(CrateError::Cancelled);
            }
            match entry {
                Ok(entry) => {
                    let next = match self.plan.overlap {
                        true => entries.peek().and_then(|(i, next)| self.worth_looking(*i, next)),
                        false => None,
                    };
                    self.entry(index, &entry, next)?;
                }
                Err(e) => self.unreadable(index, &e)?,
            }
            self.summary.images += 1;
            self.observer.written();
        }
        match self.sink.done().get(self.summary.skipped) {
            Some(mark) if self.summary.skipped < n_done => Err(self.changed(mark, "gone".into())),
            _ => Ok(()),
        }
    }

    /// An entry that will be asked about.
    fn worth_looking<'e>(
        &self,
        index: usize,
        entry: &'e std::result::Result<Entry, dataset::Error>,
    ) -> Option<&'e Entry> {
        let ours = self.plan.shard.holds(index);
        entry.as_ref().ok().filter(|entry| ours && !entry.regions.is_empty())
    }

    /// Passes an image that is done, after a look at whether it is that image.
    fn skip(&mut self, index: usize, entry: Option<&Entry>) -> Result<()> {
        let name = entry.map(|e| e.name.as_str());
        let mark = &self.sink.done()[self.summary.skipped];
        if mark.index != index || mark.image.as_deref() != name {
            return Err(self.changed(mark, shown(name)));
        }
        self.summary.skipped += 1;
        self.observer.skipped();
        Ok(())
    }

    fn changed(&self, mark: &Mark, now: String) -> CrateError {
        let (number, before) = (mark.index + 1, mark.shown());
        Error::Changed { path: self.sink.path().into(), number, before, now }.into()
    }

    fn unreadable(&mut self, index: usize, error: &dataset::Error) -> Result<()> {
        let error = error.to_string();
        self.problem(None, None, &error)?;
        let mark = Mark { index, image: None, image_id: None, lines: 1 };
        Ok(self.sink.put(mark, &[Record::broken(None, error)])?)
    }

    /// `next` is the entry that comes next, if there is time to look at it.
    fn entry(&mut self, index: usize, entry: &Entry, next: Option<&Entry>) -> Result<()> {
        let records = match entry.regions.is_empty() {
            true => Vec::new(),
            false => self.records(index, entry, next)?,
        };
        let (image, image_id) = (Some(entry.name.clone()), entry.image_id.clone());
        let mark = Mark { index, image, image_id, lines: records.len() };
        Ok(self.sink.put(mark, &records)?)
    }

    /// The lines about an image that has regions.
    fn records(
        &mut self,
        index: usize,
        entry: &Entry,
        next: Option<&Entry>,
    ) -> Result<Vec<Record>> {
        let name = &entry.name;
        let prepared = self.prepared.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let loaded = match prepared {
            Some((path, image)) if path == entry.image => Ok(image),
            _ => load_image(&entry.image).map(Image::from),
        };
        let (image, records) = match loaded {
            Ok(image) => {
                let records = self.image(entry, &image, next)?;
                (Some(image), records)
            }
            Err(e) => {
                let error = e.to_string();
                self.problem(Some(name), None, &error)?;
                (None, vec![Record::broken(Some(name), error)])
            }
        };
        let pixels = image.as_ref().map(Image::pixels);
        let captioned = Captioned { index, name, pixels, records: &records };
        self.observer.captioned(&captioned)?;
        Ok(records)
    }

    /// Asks everything about an image at once.
    fn image(&mut self, entry: &Entry, image: &Image, next: Option<&Entry>) -> Result<Vec<Record>> {
        self.summary.regions += entry.regions.len();
        let mut items = self.items(entry, image.size());
        let requests: Vec<Request> = items.iter_mut().filter_map(|i| i.request.take()).collect();
        let (observer, name) = (&mut *self.observer, entry.name.as_str());
        let mut on_answer = |answer: &Answer| observer.answered(name, answer);
        let prepared = &self.prepared;
        let mut ahead = || next.and_then(|entry| prepare(entry, prepared));
        let ahead: Option<Ahead> = if next.is_some() { Some(&mut ahead) } else { None };
        let answers = self.answerer.answer_all(image, &requests, ahead, &mut on_answer);
        let encode = answers.iter().flatten().map(encode_ms).fold(0.0, f64::max);
        let mut answers = answers.into_iter();
        let mut records = Vec::with_capacity(items.len());
        for Item { record, refused, .. } in items {
            let result = match refused {
                Some(error) => Err(error.into()),
                None => answers.next().unwrap_or(Err(CrateError::internal("no answer"))),
            };
            records.push(self.record(record, result, encode)?);
        }
        Ok(records)
    }

    /// What to ask of all regions, in their order.
    fn items(&self, entry: &Entry, size: (u32, u32)) -> Vec<Item> {
        let about = |region: &Region| {
            let pixels = region.shape.in_pixels(size);
            let label = region.label.as_deref();
            let record = Record::about(&entry.name, &region.id, label, pixels);
            let asked = self.plan.questions.about(region).into_iter();
            let item = |(question, asked): (String, std::result::Result<Asked, Error>)| {
                let record = Record { question: Some(question), ..record.clone() };
                match asked {
                    Ok(asked) => {
                        let request = self.request(&entry.name, &region.id, asked, pixels);
                        Item { record, request: Some(request), refused: None }
                    }
                    Err(e) => Item { record, request: None, refused: Some(e) },
                }
            };
            asked.map(item).collect::<Vec<_>>()
        };
        entry.regions.iter().flat_map(about).collect()
    }

    fn request(&self, image: &str, region: &str, asked: Asked, b: PixelBox) -> Request {
        let Plan { mut sampling, max_tokens, ref constraint, .. } = *self.plan;
        if let Sampling::Random { seed: Some(seed), .. } = &mut sampling {
            *seed = answer_seed(*seed, image, region, &asked.text);
        }
        Request {
            boxes: vec![b; asked.n_boxes],
            sampling,
            max_tokens,
            constraint: constraint.clone(),
            ..Request::new(asked.text)
        }
    }

    /// The line for an answer or for what the user can do something about; the rest ends the run.
    fn record(&mut self, record: Record, result: Result<Answer>, encode: f64) -> Result<Record> {
        match result {
            Ok(answer) => {
                self.summary.answers += 1;
                self.summary.tokens += answer.n_generated;
                Ok(record.answered(&answer, encode))
            }
            // An option that makes no sense does so for every region.
            Err(e @ CrateError::Option { .. }) => Err(e),
            Err(e) if e.kind() == ErrorKind::Input => {
                let error = e.to_string();
                self.problem(record.image.as_deref(), record.id.as_deref(), &error)?;
                Ok(Record { error: Some(error), ..record })
            }
            Err(e) => Err(e),
        }
    }

    fn problem(&mut self, image: Option<&str>, region: Option<&str>, error: &str) -> Result<()> {
        self.summary.errors += 1;
        let problem = Problem { image, region, error };
        if self.plan.strict {
            return Err(Error::Broken { reason: problem.to_string() }.into());
        }
        self.observer.problem(&problem);
        Ok(())
    }
}

/// A question about a region on its way to an answer.
struct Item {
    record: Record,
    request: Option<Request>,
    /// Why it is not asked at all.
    refused: Option<Error>,
}

impl std::fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(image) = self.image {
            write!(f, "{image}")?;
        }
        if let Some(region) = self.region {
            write!(f, ", region {region}")?;
        }
        let colon = if self.image.is_some() { ": " } else { "" };
        write!(f, "{colon}{}", self.error)
    }
}

/// Loads the next image, once. What is wrong with it is found again, and said, when it is its turn.
fn prepare(entry: &Entry, prepared: &Prepared) -> Option<(Image, Vec<PixelBox>)> {
    let mut prepared = prepared.lock().unwrap_or_else(PoisonError::into_inner);
    if prepared.is_some() {
        return None;
    }
    let image = Image::from(load_image(&entry.image).ok()?);
    let boxes = entry.regions.iter().map(|r| r.shape.in_pixels(image.size())).collect();
    *prepared = Some((entry.image.clone(), image.clone()));
    Some((image, boxes))
}
