//! Streaming tensors from their sources into a file.
//!
//! Three stages run at once, joined by short queues: one reads, one converts (on several threads
//! of its own), one writes. Only a few pieces of one tensor are in memory at any time.

use crate::Observer;
use crate::error::{Error, Result};
use crate::plan::{FilePlan, Plan, TensorPlan};
use crate::source::{Tensors, element_size};
use ggml_ext::gguf::{Sealed, Value, Writer};
use ggml_ext::{DType, quant};
use gpt4roi_models::{self as models, Transform};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Elements of one piece: small enough for the queues, large enough to keep threads busy.
const PIECE: usize = 4 << 20;
/// Pieces that wait between two stages.
const QUEUE: usize = 3;

impl Plan {
    /// Writes both files, on up to `n_threads` threads for the conversion.
    ///
    /// They get their names only when both are complete; on any error nothing stays behind.
    ///
    /// # Errors
    /// If a source cannot be read, the disk is full, a value does not fit its type, or the
    /// observer asks to stop.
    pub fn run(&self, n_threads: usize, observer: &dyn Observer) -> Result<()> {
        let dir = self.llm.path.parent().unwrap_or(std::path::Path::new("."));
        std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let mmproj = self.write(&self.mmproj, n_threads, observer)?;
        let llm = self.write(&self.llm, n_threads, observer)?;
        mmproj.publish()?;
        llm.publish().inspect_err(|_| {
            // One file without the other is of no use.
            let _ = std::fs::remove_file(&self.mmproj.path);
        })?;
        Ok(())
    }

    /// Writes one file under a temporary name.
    fn write(&self, file: &FilePlan, n_threads: usize, observer: &dyn Observer) -> Result<Sealed> {
        let keys: Vec<_> = file
            .keys
            .iter()
            .map(|(k, v)| (k.clone(), gguf_value(v)))
            .collect();
        let tensors = file
            .tensors
            .iter()
            .map(|t| (t.spec.name.as_str(), t.dtype, t.spec.shape.as_slice()));
        let mut writer = Writer::create(&file.path, &keys, tensors)?;
        std::thread::scope(|scope| {
            let (raw_tx, raw_rx) = sync_channel::<Piece>(QUEUE);
            let (done_tx, done_rx) = sync_channel::<Piece>(QUEUE);
            let reader = scope.spawn(move || read_all(self, file, &raw_tx));
            let write = scope.spawn(move || write_all(&mut writer, done_rx).map(|()| writer));
            let converted = convert_all(raw_rx, &done_tx, n_threads, observer);
            drop(done_tx);
            // The first cause in the order of the stages is the one to report: a stage whose
            // neighbour has gone just stops.
            let read = reader
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let written = write
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            read?;
            converted?;
            Ok(written?.seal()?)
        })
    }
}

/// Some rows of a tensor on their way.
struct Piece<'a> {
    plan: &'a TensorPlan,
    bytes: Vec<u8>,
    /// Type of `bytes`.
    dtype: DType,
}

fn read_all<'a>(plan: &'a Plan, file: &'a FilePlan, out: &SyncSender<Piece<'a>>) -> Result<()> {
    for tensor in &file.tensors {
        let source = plan.tensors(tensor.spec.source.checkpoint);
        let mut open = true;
        each_piece(source, tensor, PIECE, |bytes, dtype| {
            // A closed queue means that a later stage failed and will say why.
            open = out
                .send(Piece {
                    plan: tensor,
                    bytes,
                    dtype,
                })
                .is_ok();
            Ok(open)
        })?;
        if !open {
            return Ok(());
        }
    }
    Ok(())
}

/// Hands out a tensor's rows, transformed, in pieces of about `size` elements, until `take` returns
/// false.
pub fn each_piece(
    source: &dyn Tensors,
    tensor: &TensorPlan,
    size: usize,
    mut take: impl FnMut(Vec<u8>, DType) -> Result<bool>,
) -> Result<()> {
    let spec = &tensor.spec;
    let mut stream = source.open(&spec.source.name)?;
    let (n_rows, unit) = rows(tensor);
    let n_per_row = spec.n_per_row() as usize;
    let step = (size / n_per_row / unit).max(1) * unit;
    let row_bytes = n_per_row * element_size(stream.dtype());
    for first in (0..n_rows).step_by(step) {
        let n = step.min(n_rows - first);
        let mut bytes = Vec::with_capacity(n * row_bytes);
        stream.read(n * n_per_row, &mut bytes)?;
        if let Transform::PermuteRope { .. } = spec.transform {
            bytes = interleave_halves(&bytes, unit, row_bytes);
        }
        if !take(bytes, stream.dtype())? {
            break;
        }
    }
    Ok(())
}

/// Rows of a tensor, and how many must stay together.
fn rows(tensor: &TensorPlan) -> (usize, usize) {
    let spec = &tensor.spec;
    let n_rows = (spec.n_elements() / spec.n_per_row()) as usize;
    match spec.transform {
        Transform::None => (n_rows, 1),
        Transform::PermuteRope { n_head } => (n_rows, n_rows / n_head as usize),
    }
}

/// Within every group of `unit` rows, puts row `j` of the second half behind row `j` of the first.
fn interleave_halves(bytes: &[u8], unit: usize, row_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for head in bytes.chunks_exact(unit * row_bytes) {
        let (first, second) = head.split_at(unit / 2 * row_bytes);
        for (a, b) in first
            .chunks_exact(row_bytes)
            .zip(second.chunks_exact(row_bytes))
        {
            out.extend_from_slice(a);
            out.extend_from_slice(b);
        }
    }
    out
}

fn convert_all<'a>(
    pieces: Receiver<Piece<'a>>,
    out: &SyncSender<Piece<'a>>,
    n_threads: usize,
    observer: &dyn Observer,
) -> Result<()> {
    for piece in pieces {
        if observer.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let (name, n_bytes) = (&piece.plan.spec.name, piece.bytes.len() as u64);
        let done = convert(piece, n_threads).map_err(|source| Error::Tensor {
            name: name.clone(),
            source,
        })?;
        if out.send(done).is_err() {
            return Ok(());
        }
        observer.advance(name, n_bytes);
    }
    Ok(())
}

fn convert(piece: Piece, n_threads: usize) -> ggml_ext::Result<Piece> {
    let to = piece.plan.dtype;
    if piece.dtype == to {
        quant::validate(to, &piece.bytes)?;
        return Ok(piece);
    }
    let values = to_f32(&piece.bytes, piece.dtype, n_threads)?;
    let n_per_row = piece.plan.spec.n_per_row() as usize;
    let mut bytes = Vec::new();
    quant::quantize(to, &values, n_per_row, n_threads, &mut bytes)?;
    Ok(Piece {
        bytes,
        dtype: to,
        ..piece
    })
}

/// The values of plain data.
pub fn to_f32(bytes: &[u8], dtype: DType, n_threads: usize) -> ggml_ext::Result<Vec<f32>> {
    let size = element_size(dtype);
    let mut values = vec![0.0; bytes.len() / size];
    let part = values.len().div_ceil(n_threads.max(1)).max(1);
    std::thread::scope(|scope| {
        let parts = bytes.chunks(part * size).zip(values.chunks_mut(part));
        let jobs: Vec<_> = parts
            .map(|(src, dst)| scope.spawn(|| quant::dequantize(dtype, src, dst)))
            .collect();
        jobs.into_iter().try_for_each(|j| {
            j.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok(values)
}

fn write_all(writer: &mut Writer, pieces: Receiver<Piece>) -> Result<()> {
    pieces.into_iter().try_for_each(|piece| {
        let name = &piece.plan.spec.name;
        writer.write(&piece.bytes).map_err(|source| Error::Tensor {
            name: name.clone(),
            source,
        })
    })
}

/// A metadata value as the writer takes it.
pub fn gguf_value(v: &models::Value) -> Value {
    use models::Value as V;
    match v {
        V::U32(v) => (*v).into(),
        V::I32(v) => (*v).into(),
        V::F32(v) => (*v).into(),
        V::Bool(v) => (*v).into(),
        V::Str(v) => v.clone().into(),
        V::U32s(v) => v.clone().into(),
        V::I32s(v) => v.clone().into(),
        V::F32s(v) => v.clone().into(),
        V::Strs(v) => v.clone().into(),
        V::Bools(v) => v.clone().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_each_head_are_interleaved() {
        // Two heads of four rows of two bytes.
        let rows: Vec<u8> = (0..8).flat_map(|r| [r, r]).collect();
        let got = interleave_halves(&rows, 4, 2);
        let want: Vec<u8> = [0, 2, 1, 3, 4, 6, 5, 7]
            .into_iter()
            .flat_map(|r| [r, r])
            .collect();
        assert_eq!(got, want);
    }
}
