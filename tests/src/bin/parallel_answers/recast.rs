//! A GGUF file once more, with its weights in another type.

use anyhow::{Context, Result};
use ggml_ext::DType;
use ggml_ext::gguf::{Gguf, TensorInfo, Writer};
use ggml_ext::quant::{dequantize, quantize};
use std::path::Path;

/// Writes `from` to `to` with every tensor of 8-bit blocks in `dtype` instead, where that can hold its rows. With
/// f32 all others become f32, too.
///
/// Values are those of the file: to f32 nothing changes.
pub fn recast(from: &Path, to: &Path, dtype: DType) -> Result<()> {
    let file = Gguf::open(from)?;
    let keys: Vec<_> = file
        .keys()
        .map(|key| Ok((key.to_owned(), file.get(key).context("a key without a value")?)))
        .collect::<Result<_>>()?;
    let types: Vec<DType> =
        file.tensors().iter().map(|tensor| type_of(tensor, dtype)).collect::<Result<_>>()?;
    let tensors = file.tensors().iter().zip(&types);
    let list = tensors.clone().map(|(tensor, t)| (tensor.name.as_str(), *t, tensor.shape()));
    let mut writer = Writer::create(to, &keys, list)?;
    for (tensor, &t) in tensors {
        let bytes = file.tensor_bytes(&tensor.name).context("a tensor without data")?;
        writer.write(&converted(tensor, bytes, t)?)?;
    }
    Ok(writer.finish()?)
}

fn known(tensor: &TensorInfo) -> Result<DType> {
    tensor.dtype.with_context(|| format!("{} is of {}", tensor.name, tensor.type_name()))
}

fn type_of(tensor: &TensorInfo, dtype: DType) -> Result<DType> {
    let now = known(tensor)?;
    let fits = dtype.row_size(tensor.ne[0] as usize).is_some();
    let is_meant = now == DType::Q8_0 || (dtype == DType::F32 && now != DType::I32);
    Ok(if is_meant && fits { dtype } else { now })
}

fn converted(tensor: &TensorInfo, bytes: &[u8], dtype: DType) -> Result<Vec<u8>> {
    let now = known(tensor)?;
    if now == dtype {
        return Ok(bytes.to_vec());
    }
    let mut values = vec![0.0; tensor.n_elements() as usize];
    dequantize(now, bytes, &mut values)?;
    let mut out = Vec::new();
    quantize(dtype, &values, tensor.ne[0] as usize, 1, &mut out)?;
    Ok(out)
}
