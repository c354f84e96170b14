//! Tensors that no checkpoint has.

use super::{ElementType, Meta, Stream, Tensors};
use crate::error::{Error, Result};
use ggml_ext::DType;
use gpt4roi_models::names::generated;
use std::path::{Path, PathBuf};

/// The identity of width `n`, and `n` zeros.
pub struct Generated(pub u32);

impl Tensors for Generated {
    fn path(&self) -> &Path {
        Path::new("generated")
    }

    fn names(&self) -> Vec<&str> {
        vec![generated::IDENTITY, generated::ZEROS]
    }

    fn meta(&self, name: &str) -> Option<Meta> {
        let n = u64::from(self.0);
        let shape = match name {
            generated::IDENTITY => vec![n, n],
            generated::ZEROS => vec![n],
            _ => return None,
        };
        let element = ElementType::Float(DType::F32);
        Some(Meta { path: PathBuf::from(self.path()), shape, element })
    }

    fn open<'a>(&'a self, name: &str) -> Result<Box<dyn Stream + 'a>> {
        let period = match name {
            generated::IDENTITY => Some(self.0 as usize + 1),
            generated::ZEROS => None,
            _ => {
                let (path, name) = (self.path().to_owned(), name.to_owned());
                return Err(Error::MissingTensor { path, name, remedy: "please report this" });
            }
        };
        Ok(Box::new(Ones { period, at: 0 }))
    }
}

/// Zeros, with a one at every `period`th place from the first on.
struct Ones {
    period: Option<usize>,
    at: usize,
}

impl Stream for Ones {
    fn dtype(&self) -> DType {
        DType::F32
    }

    fn read(&mut self, n: usize, out: &mut Vec<u8>) -> Result<()> {
        for i in self.at..self.at + n {
            let one = self.period.is_some_and(|p| i.is_multiple_of(p));
            out.extend(f32::from(u8::from(one)).to_le_bytes());
        }
        self.at += n;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_comes_in_pieces() {
        let source = Generated(3);
        let mut stream = source.open(generated::IDENTITY).unwrap();
        let mut bytes = Vec::new();
        stream.read(4, &mut bytes).unwrap();
        stream.read(5, &mut bytes).unwrap();
        let values: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(values, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert!(source.open("noise").is_err());
    }
}
