//! A published delta plus the base language model it was taken from.

use super::{Directory, ElementType, Meta, Stream, Tensors};
use crate::error::{Error, Result};
use ggml_ext::DType;
use gpt4roi_models::names::{self, hf};
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::path::Path;

/// Sums of a delta and its base, in half precision.
///
/// A tensor of the same name and shape in both is their sum. The token embeddings and the output
/// matrix have more rows in the delta: those beyond the base are taken as they are. So are the
/// image projector and the region extractor, which the base lacks. Anything else is an error.
pub struct Merge {
    delta: Directory,
    base: Directory,
}

impl Merge {
    /// Pairs a delta with its base, and checks that each tensor of the delta can be resolved.
    ///
    /// # Errors
    /// [`Error::Delta`] for a tensor that neither the base has nor the delta adds, or whose shapes
    /// do not fit.
    pub fn new(delta: Directory, base: Directory) -> Result<Merge> {
        let merge = Merge { delta, base };
        for name in merge.delta.names().into_iter().filter(|n| !n.ends_with(hf::ROTARY_SUFFIX)) {
            merge.base_elements(name)?;
        }
        Ok(merge)
    }

    /// Elements at the front of a tensor to which the base contributes.
    fn base_elements(&self, name: &str) -> Result<u64> {
        let Some(delta) = self.delta.meta(name) else {
            return Ok(0);
        };
        let fail = |reason: String| {
            Err(Error::Delta { path: delta.path.clone(), name: name.to_owned(), reason })
        };
        let Some(base) = self.base.meta(name) else {
            if is_added(name) {
                return Ok(0);
            }
            return fail(format!("{} has no such tensor", self.base.path().display()));
        };
        let grown = is_grown(name)
            && delta.shape.len() == 2
            && base.shape.len() == 2
            && delta.shape[0] >= base.shape[0]
            && delta.shape[1] == base.shape[1];
        if delta.shape != base.shape && !grown {
            return fail(format!("shape {:?} against {:?}", delta.shape, base.shape));
        }
        if let ElementType::Other(t) = base.element {
            return fail(format!("the base holds it as {t}"));
        }
        Ok(base.shape.iter().product())
    }
}

/// Whether a tensor is new in the delta.
fn is_added(name: &str) -> bool {
    let projector = [names::weight(hf::MM_PROJECTOR), names::bias(hf::MM_PROJECTOR)];
    projector.iter().any(|n| n == name) || name.contains(hf::SPI_MODULE)
}

/// Whether a tensor has gained rows with the added tokens.
fn is_grown(name: &str) -> bool {
    [hf::EMBED_TOKENS, hf::LM_HEAD].iter().any(|base| names::weight(base) == name)
}

impl Tensors for Merge {
    fn path(&self) -> &Path {
        self.delta.path()
    }

    fn names(&self) -> Vec<&str> {
        self.delta.names()
    }

    fn meta(&self, name: &str) -> Option<Meta> {
        let mut meta = self.delta.meta(name)?;
        // Sums are half precision whatever the parts are.
        if matches!(meta.element, ElementType::Float(_)) {
            meta.element = ElementType::Float(DType::F16);
        }
        Some(meta)
    }

    fn open<'a>(&'a self, name: &str) -> Result<Box<dyn Stream + 'a>> {
        let shared = self.base_elements(name)?;
        let base = if shared > 0 { Some(self.base.open(name)?) } else { None };
        Ok(Box::new(Sum { delta: self.delta.open(name)?, base, shared: shared as usize }))
    }
}

/// Adds two streams.
struct Sum<'a> {
    delta: Box<dyn Stream + 'a>,
    base: Option<Box<dyn Stream + 'a>>,
    /// Elements to which the base still contributes.
    shared: usize,
}

impl Stream for Sum<'_> {
    fn dtype(&self) -> DType {
        DType::F16
    }

    fn read(&mut self, n: usize, out: &mut Vec<u8>) -> Result<()> {
        let mut sum = read_f16(&mut *self.delta, n)?;
        let shared = n.min(self.shared);
        if let Some(base) = self.base.as_mut().filter(|_| shared > 0) {
            let base = read_f16(&mut **base, shared)?;
            let (mut a, mut b) = (vec![0.0; shared], vec![0.0; shared]);
            sum[..shared].convert_to_f32_slice(&mut a);
            base.convert_to_f32_slice(&mut b);
            a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
            sum[..shared].convert_from_f32_slice(&a);
            self.shared -= shared;
        }
        out.extend(sum.iter().flat_map(|v| v.to_le_bytes()));
        Ok(())
    }
}

/// The next `n` elements, rounded to half precision as the original tools load them.
fn read_f16(stream: &mut dyn Stream, n: usize) -> Result<Vec<f16>> {
    let mut bytes = Vec::new();
    stream.read(n, &mut bytes)?;
    let half = |b: &[u8]| [b[0], b[1]];
    Ok(match stream.dtype() {
        DType::F32 => {
            let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            bytes.chunks_exact(4).map(|b| f16::from_f32(word(b))).collect()
        }
        DType::Bf16 => {
            let wide = |b: &[u8]| half::bf16::from_le_bytes(half(b)).to_f32();
            bytes.chunks_exact(2).map(|b| f16::from_f32(wide(b))).collect()
        }
        _ => bytes.chunks_exact(2).map(|b| f16::from_le_bytes(half(b))).collect(),
    })
}
