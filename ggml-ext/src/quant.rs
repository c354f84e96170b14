//! Between f32 and the types that files hold.
//!
//! The bytes are those that llama.cpp's quantiser writes: ggml's own functions, or for k-quants code
//! that is proven equal on the machine before it is used; rows are independent of each other, so
//! neither chunks nor threads change them.

#[cfg(target_arch = "x86_64")]
mod lanes;

use crate::{DType, Error, Result, sys};
use std::ffi::c_void;

/// Elements below which a second thread is not worth starting.
const MIN_PER_THREAD: usize = 1 << 16;

/// Converts rows of `n_per_row` values to `dtype` and appends them to `dst`, on up to `n_threads`
/// threads.
///
/// # Errors
/// [`Error::Length`] if `src` is not whole rows; [`Error::Unrepresentable`] if the type's blocks do
/// not divide rows, if there is no such conversion, or if the result holds values that are not
/// finite (llama.cpp refuses to load such files). `dst` is then as before.
pub fn quantize(
    dtype: DType,
    src: &[f32],
    n_per_row: usize,
    n_threads: usize,
    dst: &mut Vec<u8>,
) -> Result<()> {
    let refuse = |reason: String| Err(Error::Unrepresentable { what: dtype.to_string(), reason });
    if n_per_row == 0 || !src.len().is_multiple_of(n_per_row) {
        let name = format!("rows of {dtype}");
        return Err(Error::Length { name, expected: n_per_row, got: src.len() });
    }
    let Some(row_size) = dtype.row_size(n_per_row).filter(|_| dtype != DType::I32) else {
        return refuse(format!("it cannot hold rows of {n_per_row} values"));
    };
    let n_rows = src.len() / n_per_row;
    let before = dst.len();
    dst.resize(before + n_rows * row_size, 0);
    let n_threads = n_threads.clamp(1, (src.len() / MIN_PER_THREAD).max(1));
    let rows = n_rows.div_ceil(n_threads).max(1);
    let ok = std::thread::scope(|scope| {
        let parts = src.chunks(rows * n_per_row).zip(dst[before..].chunks_mut(rows * row_size));
        let mut jobs: Vec<_> =
            parts.map(|(src, dst)| move || quantize_rows(dtype, src, n_per_row, dst)).collect();
        // The last part runs here rather than on yet another thread.
        let last = jobs.pop();
        let others: Vec<_> = jobs.into_iter().map(|job| scope.spawn(job)).collect();
        let mut ok = last.is_none_or(|mut job| job());
        for other in others {
            ok &= other.join().unwrap_or(false);
        }
        ok
    });
    if !ok {
        dst.truncate(before);
        return refuse("values are not finite in this type".into());
    }
    Ok(())
}

/// Converts rows; `false` if a result is not finite.
fn quantize_rows(dtype: DType, src: &[f32], n_per_row: usize, dst: &mut [u8]) -> bool {
    // Some kernels turn a NaN among finite values into an arbitrary finite one.
    if !src.iter().fold(true, |ok, v| ok & v.is_finite()) {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    if lanes::is_exact(dtype) {
        lanes::quantize(dtype, src, dst);
        return is_valid(dtype, dst);
    }
    quantize_with_ggml(dtype, src, n_per_row, dst)
}

/// The same with ggml's kernels.
fn quantize_with_ggml(dtype: DType, src: &[f32], n_per_row: usize, dst: &mut [u8]) -> bool {
    let n_rows = src.len() / n_per_row;
    // A wrong size here would let C write out of bounds.
    assert_eq!(dtype.row_size(n_per_row).map(|n| n * n_rows), Some(dst.len()));
    // SAFETY: `src` holds n_rows * n_per_row values and `dst` n_rows rows of the type, as asserted;
    // no type of `DType` that gets here (I32 is excluded) needs an importance matrix, which may
    // then be null. Every element of `dst` is written without being read.
    let written = unsafe {
        sys::ggml_quantize_chunk(
            dtype.raw(),
            src.as_ptr(),
            dst.as_mut_ptr().cast::<c_void>(),
            0,
            n_rows as i64,
            n_per_row as i64,
            std::ptr::null(),
        )
    };
    written == dst.len() && is_valid(dtype, dst)
}

/// Whether scales, or plain values, are all finite.
fn is_valid(dtype: DType, data: &[u8]) -> bool {
    // SAFETY: reads `data.len()` bytes, and nothing unless they are whole blocks of the type.
    unsafe { sys::ggml_validate_row_data(dtype.raw(), data.as_ptr().cast::<c_void>(), data.len()) }
}

/// Checks that data of type `dtype` hold finite values, as llama.cpp demands of a file.
///
/// # Errors
/// [`Error::Unrepresentable`] if they do not, or are not whole blocks.
pub fn validate(dtype: DType, data: &[u8]) -> Result<()> {
    if dtype == DType::I32 || is_valid(dtype, data) {
        return Ok(());
    }
    let reason = "values are not finite".into();
    Err(Error::Unrepresentable { what: dtype.to_string(), reason })
}

/// Converts whole blocks of `dtype` to f32.
///
/// # Errors
/// [`Error::Length`] if `src` does not hold exactly `dst.len()` values of the type;
/// [`Error::Unrepresentable`] for integers.
pub fn dequantize(dtype: DType, src: &[u8], dst: &mut [f32]) -> Result<()> {
    if dtype.row_size(dst.len()) != Some(src.len()) {
        let name = format!("values of {dtype}");
        let expected = dtype.row_size(dst.len()).unwrap_or(0);
        return Err(Error::Length { name, expected, got: src.len() });
    }
    if dtype == DType::F32 {
        for (v, bytes) in dst.iter_mut().zip(src.chunks_exact(4)) {
            *v = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        return Ok(());
    }
    // SAFETY: valid for every type of the enum; the table is static.
    let to_float = unsafe { (*sys::ggml_get_type_traits(dtype.raw())).to_float };
    let Some(to_float) = to_float else {
        let reason = "it holds no numbers that could be converted".into();
        return Err(Error::Unrepresentable { what: dtype.to_string(), reason });
    };
    // ggml reads blocks through aligned pointers; all blocks begin with 2-byte fields.
    let aligned: Vec<u16>;
    let mut at = src.as_ptr();
    if at.align_offset(align_of::<u16>()) != 0 {
        aligned =
            src.chunks(2).map(|b| u16::from_ne_bytes([b[0], *b.get(1).unwrap_or(&0)])).collect();
        at = aligned.as_ptr().cast();
    }
    // SAFETY: `at` points to the `src.len()` bytes of exactly `dst.len()` values, aligned for the
    // type's fields.
    unsafe { to_float(at.cast::<c_void>(), dst.as_mut_ptr(), dst.len() as i64) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37).sin() * (1.0 + (i % 17) as f32 * 0.1)).collect()
    }

    /// Largest error allowed relative to the largest value, by bits.
    fn tolerance(t: DType) -> f32 {
        match t {
            DType::F32 => 0.0,
            DType::F16 => 1e-3,
            DType::Bf16 | DType::Q8_0 => 1e-2,
            DType::Q6K => 4e-2,
            DType::Q5K | DType::Q5_0 | DType::Q5_1 => 8e-2,
            _ => 0.16,
        }
    }

    #[test]
    fn every_type_comes_back_nearly_the_same() {
        let src = wave(4 * 512);
        for &t in DType::ALL.iter().filter(|&&t| t != DType::I32) {
            let mut bytes = Vec::new();
            quantize(t, &src, 512, 2, &mut bytes).unwrap();
            assert_eq!(bytes.len(), t.row_size(src.len()).unwrap());
            let mut back = vec![0.0; src.len()];
            dequantize(t, &bytes, &mut back).unwrap();
            let worst = src.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= tolerance(t) * 2.7, "{t}: {worst}");
        }
    }

    #[test]
    fn threads_do_not_change_bytes() {
        let src = wave(1024 * 256);
        for t in [DType::Q4K, DType::Q6K, DType::F16] {
            let (mut one, mut many) = (Vec::new(), vec![7]);
            quantize(t, &src, 256, 1, &mut one).unwrap();
            quantize(t, &src, 256, 3, &mut many).unwrap();
            assert_eq!(one, many[1..]);
        }
    }

    #[test]
    fn halves_are_rounded_as_the_half_crate_rounds() {
        let src: Vec<f32> = wave(4096).iter().map(|v| v * 3.3e-6).chain(wave(4096)).collect();
        let mut bytes = Vec::new();
        quantize(DType::F16, &src, src.len(), 1, &mut bytes).unwrap();
        let want: Vec<u8> =
            src.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect();
        assert_eq!(bytes, want);
        bytes.clear();
        quantize(DType::Bf16, &src, src.len(), 1, &mut bytes).unwrap();
        let want: Vec<u8> =
            src.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
        assert_eq!(bytes, want);
    }

    #[test]
    fn misuse_is_an_error_and_leaves_the_destination_alone() {
        let mut dst = vec![1, 2, 3];
        assert!(quantize(DType::Q4K, &wave(100), 100, 1, &mut dst).is_err());
        assert!(quantize(DType::F16, &wave(10), 3, 1, &mut dst).is_err());
        assert!(quantize(DType::F16, &[1e9, 0.0], 2, 1, &mut dst).is_err());
        let one_nan: Vec<f32> = wave(31).into_iter().chain([f32::NAN]).collect();
        assert!(quantize(DType::Q8_0, &one_nan, 32, 1, &mut dst).is_err());
        assert!(quantize(DType::I32, &[1.0; 4], 4, 1, &mut dst).is_err());
        assert_eq!(dst, [1, 2, 3]);
        assert!(dequantize(DType::Q8_0, &[0; 33], &mut [0.0; 32]).is_err());
        assert!(validate(DType::F16, &[0, 0x7c]).is_err() && validate(DType::F16, &[0; 4]).is_ok());
        assert!(dequantize(DType::I32, &[0; 4], &mut [0.0; 1]).is_err());
    }

    #[test]
    fn unaligned_bytes_are_fine() {
        let mut bytes = vec![0];
        quantize(DType::Q8_0, &wave(64), 64, 1, &mut bytes).unwrap();
        let (mut a, mut b) = ([0.0; 64], [0.0; 64]);
        let aligned = bytes[1..].to_vec();
        dequantize(DType::Q8_0, &bytes[1..], &mut a).unwrap();
        dequantize(DType::Q8_0, &aligned, &mut b).unwrap();
        assert_eq!(a, b);
    }
}
