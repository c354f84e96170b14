//! What happens besides writing lines: progress, pictures, pages, remarks.

use super::Caption;
use super::pages::{self, PageFile};
use super::progress::Progress;
use gpt4roi::Answer;
use gpt4roi::caption::{Captioned, Error, Observer, Problem, Summary};
use std::path::PathBuf;

/// Watches a run.
pub(crate) struct Watch {
    pub(crate) progress: Progress,
    annotate: Option<PathBuf>,
    /// Written on the way where nothing will be left to make it from.
    page: Option<PageFile>,
    /// Remarks on requests: how many, and the first one.
    warnings: (usize, Option<String>),
}

impl Watch {
    pub(crate) fn begin(args: &Caption, progress: Progress) -> anyhow::Result<Watch> {
        pages::create_folder(args)?;
        let page = args.html.as_ref().filter(|_| args.output.is_none());
        let page = page.map(|path| PageFile::create(path, &args.input)).transpose()?;
        Ok(Watch { progress, annotate: args.annotate.clone(), page, warnings: (0, None) })
    }

    /// Says what there is to say at the end.
    pub(crate) fn summarise(&self, summary: &Summary) {
        if let (n, Some(first)) = &self.warnings {
            self.progress.say(&format!("warning: {n} remarks on boxes; the first: {first}"));
        }
        self.progress.say(&self.progress.summary(summary));
    }

    /// Completes the page that was written on the way.
    pub(crate) fn finish_page(&mut self) -> Result<(), Error> {
        self.page.take().map_or(Ok(()), PageFile::finish)
    }
}

impl Observer for Watch {
    fn skipped(&mut self) {
        self.progress.skipped();
    }

    fn answered(&mut self, image: &str, answer: &Answer) {
        self.progress.answer(image);
        for warning in &answer.warnings {
            self.warnings.0 += 1;
            self.warnings.1.get_or_insert_with(|| format!("{image}: {warning}"));
        }
    }

    fn problem(&mut self, problem: &Problem) {
        self.progress.say(&problem.to_string());
    }

    fn captioned(&mut self, image: &Captioned) -> Result<(), Error> {
        if let Some(folder) = &self.annotate {
            pages::picture(folder, image, &self.progress);
        }
        match &mut self.page {
            Some(page) => page.image(image.name, image.pixels, image.records),
            None => Ok(()),
        }
    }

    fn written(&mut self) {
        self.progress.image();
    }
}
