//! Files of one test, and what a reader makes of them.

use std::fs;
use std::path::{Path, PathBuf};

use gpt4roi::dataset::{Dataset, Entry, Error, Format, Options, Region, RegionBox, open};
use gpt4roi::{ErrorKind, PixelBox};

/// A folder that is gone when the test is.
pub struct Files(tempfile::TempDir);

impl Files {
    /// A folder with these files.
    pub fn new<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Files {
        let folder = Files(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, content)| folder.write(name, content));
        folder
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Path of a file in the folder; of the folder itself for "".
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn open(&self, name: &str) -> Dataset {
        open(&self.at(name), &Options::default()).unwrap()
    }

    pub fn open_as(&self, name: &str, format: Format) -> Result<Dataset, Error> {
        open(&self.at(name), &Options { format: Some(format), ..Options::default() })
    }

    /// The path of an entry's image within the folder.
    pub fn image(&self, entry: &Entry) -> String {
        let folder = self.0.path().canonicalize().unwrap();
        let image = match entry.image.canonicalize() {
            Ok(image) => image,
            Err(_) => folder.join(entry.image.strip_prefix(self.0.path()).unwrap()),
        };
        image.strip_prefix(folder).unwrap().display().to_string()
    }
}

/// All entries, none of them damaged.
pub fn entries(dataset: &mut Dataset) -> Vec<Entry> {
    dataset.map(|entry| entry.unwrap()).collect()
}

pub fn pixels(x1: f64, y1: f64, x2: f64, y2: f64) -> RegionBox {
    RegionBox::Pixels(PixelBox::new(x1, y1, x2, y2))
}

/// A region with a label and nothing else.
pub fn labelled(id: &str, shape: RegionBox, label: &str) -> Region {
    let (id, label) = (id.into(), Some(label.into()));
    Region { id, shape, label, questions: Vec::new(), reference: None }
}

/// The message of the one thing that is wrong with a file, whether it is found at once or later.
///
/// Panics unless it begins with the path, and is for the user to mend.
pub fn refusal(path: &Path, format: Format) -> String {
    let options = Options { format: Some(format), ..Options::default() };
    let error = match open(path, &options) {
        Ok(dataset) => {
            let mut errors: Vec<Error> = dataset.filter_map(Result::err).collect();
            assert_eq!(errors.len(), 1, "{errors:?}");
            errors.remove(0)
        }
        Err(error) => error,
    };
    let message = error.to_string();
    assert_eq!(gpt4roi::Error::from(error).kind(), ErrorKind::Input);
    let rest = message.strip_prefix(&path.display().to_string());
    rest.unwrap_or_else(|| panic!("`{message}` does not begin with the file")).into()
}

/// Each content in a file of its own is refused with a message that has all the parts.
pub fn assert_refused(name: &str, format: Format, cases: &[(&str, &[&str])]) {
    for (content, parts) in cases {
        let files = Files::new(&[(name, content)]);
        let message = refusal(&files.at(name), format);
        for part in *parts {
            assert!(message.contains(part), "{content}\ngives `{message}`\nwithout `{part}`");
        }
    }
}
