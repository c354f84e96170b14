//! The file that a run can be resumed from.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::output::Output;
use super::paths::{partial_path, remove, sidecar_path};
use super::scan::{Blocks, scan};
use super::sink::{Sink, text};
use super::{Error, Mark, Meta, Record, Sidecar, Target};

/// The journal of a run; locked while it is open.
#[derive(Debug)]
pub struct Journal {
    output: PathBuf,
    path: PathBuf,
    file: File,
    meta: Meta,
    done: Vec<Mark>,
}

/// What was found in the place of an output.
#[derive(Debug)]
pub enum Opened {
    /// Something is left to be done.
    Journal(Journal),
    /// The same run has finished before.
    Finished,
}

impl Journal {
    /// Begins the journal of `output`, or goes on with one that is there. With `restart` everything
    /// that is there is given up.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::OtherOptions`], [`Error::Exists`], [`Error::Damaged`], or where a
    /// file cannot be read or written.
    pub fn open(output: &Path, meta: &Meta, restart: bool) -> Result<Opened, Error> {
        let path = partial_path(output);
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = file.map_err(Error::write(&path))?;
        lock(&file, &path)?;
        let (output, meta) = (output.to_path_buf(), meta.clone());
        let journal = Journal { output, path, file, meta, done: Vec::new() };
        if restart {
            journal.forget()?;
        }
        journal.resume()
    }

    fn forget(&self) -> Result<(), Error> {
        self.file.set_len(0).map_err(Error::write(&self.path))?;
        remove(&self.output)?;
        remove(&sidecar_path(&self.output))
    }

    fn resume(mut self) -> Result<Opened, Error> {
        let found = scan(&self.file, &self.path)?;
        let Some(before) = found.meta else { return self.begin() };
        self.meta.check(&before, &self.path)?;
        // What a killed process has not finished writing.
        self.file.set_len(found.n_bytes).map_err(Error::write(&self.path))?;
        self.done = found.done;
        Ok(Opened::Journal(self))
    }

    /// A new journal; where the output is there already, none.
    ///
    /// A journal beside an output is another matter: its run was killed before it could remove it.
    fn begin(self) -> Result<Opened, Error> {
        self.file.set_len(0).map_err(Error::write(&self.path))?;
        if self.output.exists() {
            remove(&self.path)?;
            return self.finished_before().map(|()| Opened::Finished);
        }
        let header = serde_json::to_string(&self.meta).map_err(io::Error::from);
        let written = header.and_then(|line| (&self.file).write_all((line + "\n").as_bytes()));
        written.map_err(Error::write(&self.path))?;
        Ok(Opened::Journal(self))
    }

    fn finished_before(&self) -> Result<(), Error> {
        match Sidecar::read(&self.output)? {
            Some(sidecar) => self.meta.check(&sidecar.meta, &self.output),
            None => Err(Error::Exists { path: self.output.clone() }),
        }
    }

    /// The images that are in it.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn blocks(&self) -> Result<Blocks<'_>, Error> {
        Blocks::new(&self.file, &self.path)
    }

    /// The file that the journal becomes.
    pub(super) fn path_of_output(&self) -> &Path {
        &self.output
    }

    /// Writes the output and what stands beside it, and removes the journal. `n_images` is the number
    /// of images in the whole data set.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`], [`Error::Damaged`]; then the journal stays.
    pub fn finish(self, target: Target, n_images: usize) -> Result<(), Error> {
        let mut output = Output::create(&self.output, target)?;
        for block in self.blocks()? {
            let block = block?;
            output.image(block.mark.image_id.as_deref(), &block.lines)?;
        }
        Sidecar::new(&self.meta, n_images, &self.done).write(&self.output)?;
        output.finish()?;
        remove(&self.path)
    }
}

impl Sink for Journal {
    fn done(&self) -> &[Mark] {
        &self.done
    }

    /// One call writes all of an image, the mark last: it is there as a whole, or its mark is not.
    fn put(&mut self, mark: Mark, records: &[Record]) -> Result<(), Error> {
        let block = text(records).and_then(|t| Ok(t + &mark.line()? + "\n"));
        let written = block.and_then(|block| self.file.write_all(block.as_bytes()));
        written.map_err(Error::write(&self.path))?;
        self.done.push(mark);
        Ok(())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.into() }),
        // Some network file systems have no locks; what they hold is no worse without.
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(e)) => Err(Error::write(path)(e)),
    }
}
