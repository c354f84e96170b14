//! One file that `torch.save` wrote. Its pickle is read; data are read when asked for.

use super::{ElementType, Meta, Stream, element_size};
use crate::error::{Error, Result};
use ggml_ext::DType;
use pytorch_reader::{DType as TorchType, PytorchReader};
use std::path::{Path, PathBuf};

/// An open PyTorch file.
pub struct Pytorch {
    path: PathBuf,
    reader: PytorchReader,
}

impl Pytorch {
    pub fn open(path: &Path) -> Result<Pytorch> {
        std::fs::File::open(path).map_err(Error::io(path))?;
        let reader = PytorchReader::new(path).map_err(|e| {
            Error::malformed(path, format!("not a PyTorch file that can be read, or cut off: {e}"))
        })?;
        Ok(Pytorch { path: path.to_owned(), reader })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.reader.tensors().keys().map(String::as_str)
    }

    pub fn meta(&self, name: &str) -> Option<Meta> {
        let tensor = self.reader.get(name)?;
        let shape = tensor.shape().iter().map(|&n| n as u64).collect();
        let element = match float(tensor.dtype()) {
            Some(dtype) => ElementType::Float(dtype),
            None => ElementType::Other(format!("{:?}", tensor.dtype())),
        };
        Some(Meta { path: self.path.clone(), shape, element })
    }

    /// The tensor's data; they are read at once, since the file's checksum covers them as a whole.
    pub fn stream(&self, name: &str) -> Result<Box<dyn Stream>> {
        let missing = || Error::malformed(&self.path, format!("no weights named `{name}`"));
        let tensor = self.reader.get(name).ok_or_else(missing)?;
        let dtype = float(tensor.dtype()).ok_or_else(missing)?;
        let data = tensor.read().map_err(Error::io(&self.path))?;
        Ok(Box::new(Held { data, at: 0, dtype }))
    }
}

fn float(dtype: TorchType) -> Option<DType> {
    match dtype {
        TorchType::F32 => Some(DType::F32),
        TorchType::F16 => Some(DType::F16),
        TorchType::BF16 => Some(DType::Bf16),
        _ => None,
    }
}

/// A tensor that is held in memory.
struct Held {
    data: Vec<u8>,
    at: usize,
    dtype: DType,
}

impl Stream for Held {
    fn dtype(&self) -> DType {
        self.dtype
    }

    fn read(&mut self, n: usize, out: &mut Vec<u8>) -> Result<()> {
        let end = self.at + n * element_size(self.dtype);
        out.extend(&self.data[self.at..end]);
        self.at = end;
        Ok(())
    }
}
