//! Streaming tensors from their sources into a file.
//!
//! One thread reads, several convert, one writes, all at once. Pieces are converted independently
//! and written in order; a fixed number of permits bounds how many exist, so memory does not depend
//! on the model.

use crate::Observer;
use crate::error::{Error, Result};
use crate::plan::{FilePlan, Plan, TensorPlan};
use crate::source::{Tensors, element_size};
use ggml_ext::gguf::{Sealed, Value, Writer};
use ggml_ext::{DType, quant};
use gpt4roi_models::{self as models, Transform};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Elements of one piece: it takes some 16 MiB in all its forms.
const PIECE: usize = 2 << 20;

impl Plan {
    /// Writes both files, on up to `n_threads` threads for the conversion.
    ///
    /// They get their names only when both are complete; on any error nothing stays behind.
    ///
    /// # Errors
    /// If a source cannot be read, the disk is full, a value does not fit its type, or the
    /// observer asks to stop.
    pub fn run(&self, n_threads: usize, observer: &dyn Observer) -> Result<()> {
        self.publish(|file| self.write(file, n_threads, observer))
    }

    /// Writes both files without their weights, which read as zeros: for finding out what the model takes before there
    /// is any.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn outline(&self) -> Result<()> {
        self.publish(|file| Ok(begin(file)?.outline()?))
    }

    /// Lets both files be written, then gives them their names.
    fn publish(&self, mut write: impl FnMut(&FilePlan) -> Result<Sealed>) -> Result<()> {
        let dir = self.llm.path.parent().unwrap_or(std::path::Path::new("."));
        std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let mmproj = write(&self.mmproj)?;
        let llm = write(&self.llm)?;
        mmproj.publish()?;
        llm.publish().inspect_err(|_| {
            // One file without the other is of no use.
            let _ = std::fs::remove_file(&self.mmproj.path);
        })?;
        Ok(())
    }

    /// Writes one file under a temporary name.
    fn write(&self, file: &FilePlan, n_threads: usize, observer: &dyn Observer) -> Result<Sealed> {
        let mut writer = begin(file)?;
        let n_threads = n_threads.max(1);
        // Enough for every converter to have one piece at hand and one done.
        let n_permits = 2 * n_threads + 2;
        std::thread::scope(|scope| {
            let (permit, permits) = sync_channel(n_permits);
            let (raw, to_convert) = sync_channel(n_permits);
            let (converted, to_write) = sync_channel(n_permits);
            // Room for each was just made, so none can fail.
            (0..n_permits).for_each(|_| permit.send(()).unwrap_or(()));
            let reader = scope.spawn(move || read_all(self, file, &permits, &raw));
            // Shared by the converters, and gone with the last of them.
            let to_convert = std::sync::Arc::new(Mutex::new(to_convert));
            for _ in 0..n_threads {
                let (pieces, converted) = (to_convert.clone(), converted.clone());
                scope.spawn(move || convert_all(&pieces, &converted));
            }
            drop((to_convert, converted));
            // Returning drops both ends, which stops the other threads.
            write_all(&mut writer, to_write, permit, observer)?;
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        Ok(writer.seal()?)
    }
}

/// A file with its header.
fn begin(file: &FilePlan) -> Result<Writer> {
    let keys: Vec<_> = file.keys.iter().map(|(k, v)| (k.clone(), gguf_value(v))).collect();
    let tensors =
        file.tensors.iter().map(|t| (t.spec.name.as_str(), t.dtype, t.spec.shape.as_slice()));
    Ok(Writer::create(&file.path, &keys, tensors)?)
}

/// Some rows of a tensor on their way.
struct Piece<'a> {
    /// Place among all pieces of the file.
    number: usize,
    tensor: &'a TensorPlan,
    /// Bytes that were read for it.
    n_read: u64,
    bytes: Vec<u8>,
    /// Type of `bytes`.
    dtype: DType,
}

fn read_all<'a>(
    plan: &'a Plan,
    file: &'a FilePlan,
    permits: &Receiver<()>,
    out: &SyncSender<Piece<'a>>,
) -> Result<()> {
    let mut number = 0;
    for tensor in &file.tensors {
        let source = plan.tensors(tensor.spec.source.checkpoint);
        // A closed channel means that a later stage has failed and says why.
        let mut open = true;
        each_piece(source, tensor, PIECE, |bytes, dtype| {
            let n_read = bytes.len() as u64;
            let piece = Piece { number, tensor, n_read, bytes, dtype };
            number += 1;
            open = permits.recv().is_ok() && out.send(piece).is_ok();
            Ok(open)
        })?;
        if !open {
            break;
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
        for (a, b) in first.chunks_exact(row_bytes).zip(second.chunks_exact(row_bytes)) {
            out.extend_from_slice(a);
            out.extend_from_slice(b);
        }
    }
    out
}

/// Converts pieces until there are no more; several threads do.
fn convert_all<'a>(pieces: &Mutex<Receiver<Piece<'a>>>, out: &SyncSender<Result<Piece<'a>>>) {
    loop {
        // Nothing panics while the lock is held.
        let Ok(next) = pieces.lock().map(|pieces| pieces.recv()) else {
            return;
        };
        let Ok(piece) = next else { return };
        let name = &piece.tensor.spec.name;
        let done = convert(piece).map_err(|source| Error::Tensor { name: name.clone(), source });
        if out.send(done).is_err() {
            return;
        }
    }
}

fn convert(piece: Piece) -> ggml_ext::Result<Piece> {
    let to = piece.tensor.dtype;
    if piece.dtype == to {
        quant::validate(to, &piece.bytes)?;
        return Ok(piece);
    }
    let values = to_f32(&piece.bytes, piece.dtype, 1)?;
    let n_per_row = piece.tensor.spec.n_per_row() as usize;
    let mut bytes = Vec::new();
    quant::quantize(to, &values, n_per_row, 1, &mut bytes)?;
    Ok(Piece { bytes, dtype: to, ..piece })
}

/// The values of plain data.
pub fn to_f32(bytes: &[u8], dtype: DType, n_threads: usize) -> ggml_ext::Result<Vec<f32>> {
    let size = element_size(dtype);
    let mut values = vec![0.0; bytes.len() / size];
    let part = values.len().div_ceil(n_threads.max(1)).max(1);
    std::thread::scope(|scope| {
        let parts = bytes.chunks(part * size).zip(values.chunks_mut(part));
        let jobs: Vec<_> =
            parts.map(|(src, dst)| scope.spawn(|| quant::dequantize(dtype, src, dst))).collect();
        jobs.into_iter()
            .try_for_each(|j| j.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    Ok(values)
}

/// Writes pieces in their order, and lets the reader go on for each.
fn write_all(
    writer: &mut Writer,
    pieces: Receiver<Result<Piece>>,
    permit: SyncSender<()>,
    observer: &dyn Observer,
) -> Result<()> {
    let (mut waiting, mut next) = (BTreeMap::new(), 0);
    for piece in pieces {
        let piece = piece?;
        waiting.insert(piece.number, piece);
        while let Some(piece) = waiting.remove(&next) {
            if observer.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let name = &piece.tensor.spec.name;
            writer
                .write(&piece.bytes)
                .map_err(|source| Error::Tensor { name: name.clone(), source })?;
            observer.advance(name, piece.n_read);
            next += 1;
            // The reader may have finished.
            let _ = permit.send(());
        }
    }
    Ok(())
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
        let want: Vec<u8> = [0, 2, 1, 3, 4, 6, 5, 7].into_iter().flat_map(|r| [r, r]).collect();
        assert_eq!(got, want);
    }
}
