//! Reading weights: directories of safetensors or PyTorch files, and the sum of a delta and a base.

mod delta;
mod directory;
mod generated;
mod pytorch;
mod safetensors;

pub use delta::Merge;
pub use directory::Directory;
pub use generated::Generated;

use crate::error::{Error, Result};
use ggml_ext::DType;
use gpt4roi_models::Source;
use std::path::{Path, PathBuf};

/// Element type of a tensor in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// One that holds weights.
    Float(DType),
    /// Another one, by its name; such tensors can only be ignored.
    Other(String),
}

/// What is known of a tensor before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The file that holds it.
    pub path: PathBuf,
    /// Shape in PyTorch order.
    pub shape: Vec<u64>,
    /// Type of its elements.
    pub element: ElementType,
}

/// Where weights come from.
pub trait Tensors: Sync {
    /// The checkpoint's directory, for messages.
    fn path(&self) -> &Path;

    /// Names of all tensors.
    fn names(&self) -> Vec<&str>;

    /// What is known of a tensor, if there is one of that name.
    fn meta(&self, name: &str) -> Option<Meta>;

    /// Begins to read a tensor that [`meta`](Tensors::meta) knows.
    ///
    /// # Errors
    /// If its file cannot be read.
    fn open<'a>(&'a self, name: &str) -> Result<Box<dyn Stream + 'a>>;
}

/// A tensor's data, front to back.
pub trait Stream {
    /// Type of the data.
    fn dtype(&self) -> DType;

    /// Appends the next `n` elements to `out`. Never asked for more than the tensor has.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn read(&mut self, n: usize, out: &mut Vec<u8>) -> Result<()>;
}

/// Looks a tensor up, and checks that it has the shape and a type that can be converted.
///
/// # Errors
/// [`Error::MissingTensor`], [`Error::Shape`], [`Error::ElementType`].
pub fn find(tensors: &dyn Tensors, source: &Source) -> Result<(Meta, DType)> {
    let name = source.name.clone();
    let Some(meta) = tensors.meta(&name) else {
        let remedy = "the checkpoint is incomplete or of another model";
        return Err(Error::MissingTensor { path: tensors.path().to_owned(), name, remedy });
    };
    if meta.shape != source.shape {
        let (expected, got) = (source.shape.clone(), meta.shape);
        return Err(Error::Shape { path: meta.path, name, expected, got });
    }
    match meta.element.clone() {
        ElementType::Float(dtype) => Ok((meta, dtype)),
        ElementType::Other(got) => Err(Error::ElementType { path: meta.path, name, got }),
    }
}

/// Bytes of one element of a plain type.
pub fn element_size(dtype: DType) -> usize {
    dtype.row_size(1).unwrap_or(1)
}
