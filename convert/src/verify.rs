//! Comparing a written file with its source, value by value.

use crate::Observer;
use crate::error::{Error, Result};
use crate::pipeline::{each_piece, to_f32};
use crate::plan::{FilePlan, Plan, TensorPlan};
use ggml_ext::gguf::Gguf;
use ggml_ext::{DType, quant};
use gpt4roi_models::keys;
use std::collections::BTreeMap;

/// Elements that are compared at a time.
const PIECE: usize = 4 << 20;

/// How far a file is from its source.
#[derive(Clone, Debug)]
pub struct Report {
    /// Error of each group of tensors, by name with numbers replaced by `*`, and type.
    pub groups: BTreeMap<(String, DType), Group>,
    /// Keys that the file lacks or that differ from what the source says.
    pub keys: Vec<String>,
}

/// Error of a group of tensors that share a type.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Tensors in the group.
    pub n_tensors: usize,
    /// Largest absolute error.
    pub max_abs: f64,
    /// Sum of squared errors.
    error: f64,
    /// Sum of squared source values.
    signal: f64,
}

impl Group {
    /// Squared error relative to the squared source values.
    pub fn nmse(&self) -> f64 {
        if self.error == 0.0 { 0.0 } else { self.error / self.signal }
    }
}

/// Largest NMSE that the rounding of a type explains.
pub fn bound(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 0.0,
        DType::F16 => 1e-6,
        DType::Bf16 => 1e-5,
        DType::Q8_0 => 2e-4,
        DType::Q6K => 1e-3,
        DType::Q5K | DType::Q5_0 | DType::Q5_1 => 5e-3,
        _ => 2e-2,
    }
}

impl Report {
    /// Whether nothing departs from the source by more than its type explains.
    pub fn is_good(&self) -> bool {
        self.keys.is_empty() && self.groups.iter().all(|((_, t), g)| g.nmse() <= bound(*t))
    }
}

/// Compares `file` with the sources of `plan`; the plan's own types do not matter.
///
/// # Errors
/// If the file is neither of the plan's two, lacks a tensor, has one too many or one of another
/// shape, or if a source cannot be read.
pub fn verify(
    file: &Gguf,
    plan: &Plan,
    n_threads: usize,
    observer: &dyn Observer,
) -> Result<Report> {
    let wanted = matching(file, plan)?;
    let bad = |reason: String| Error::malformed(file.path(), reason);
    if let Some(extra) = file.tensors().iter().find(|t| !has(wanted, &t.name)) {
        return Err(bad(format!("tensor `{}` does not belong here", extra.name)));
    }
    let comparison = Comparison { file, plan, n_threads, observer };
    let mut report = Report { groups: BTreeMap::new(), keys: differing_keys(file, wanted) };
    for tensor in &wanted.tensors {
        let name = &tensor.spec.name;
        let info = file.tensor(name).ok_or_else(|| bad(format!("tensor `{name}` is missing")))?;
        let dtype = info.dtype.filter(|_| info.shape() == tensor.spec.shape).ok_or_else(|| {
            let (kind, shape) = (info.type_name(), info.shape());
            bad(format!("tensor `{name}` is {kind} {shape:?}, not {:?}", tensor.spec.shape))
        })?;
        let group = report.groups.entry((group_name(name), dtype)).or_default();
        group.n_tensors += 1;
        comparison.compare(tensor, dtype, group)?;
    }
    Ok(report)
}

/// The part of the plan that the file is.
fn matching<'a>(file: &Gguf, plan: &'a Plan) -> Result<&'a FilePlan> {
    let architecture = match file.get(keys::ARCHITECTURE) {
        Some(ggml_ext::gguf::Value::Str(s)) => s,
        _ => String::new(),
    };
    match architecture.as_str() {
        keys::ARCH_LLAMA => Ok(&plan.llm),
        keys::ARCH_CLIP => Ok(&plan.mmproj),
        other => {
            let reason = format!("architecture `{other}` is none that this program writes");
            Err(Error::malformed(file.path(), reason))
        }
    }
}

fn has(plan: &FilePlan, name: &str) -> bool {
    plan.tensors.iter().any(|t| t.spec.name == name)
}

/// Keys that matter to a computation and are not what the source says.
fn differing_keys(file: &Gguf, plan: &FilePlan) -> Vec<String> {
    let matters = plan.keys.iter().filter(|(k, _)| !keys::is_note(k));
    let differs = matters.filter(|(k, v)| file.get(k) != Some(crate::pipeline::gguf_value(v)));
    differs.map(|(k, _)| k.clone()).collect()
}

/// The name with numbers replaced, so that the blocks of a stack form one group.
fn group_name(name: &str) -> String {
    let star = |part: &str| {
        let number = part.bytes().all(|b| b.is_ascii_digit());
        if number { "*".to_owned() } else { part.to_owned() }
    };
    name.split('.').map(star).collect::<Vec<_>>().join(".")
}

/// A file beside its source.
struct Comparison<'a> {
    file: &'a Gguf,
    plan: &'a Plan,
    n_threads: usize,
    observer: &'a dyn Observer,
}

impl Comparison<'_> {
    /// Adds the error of one tensor, which the file holds as `dtype`, to its group.
    fn compare(&self, tensor: &TensorPlan, dtype: DType, group: &mut Group) -> Result<()> {
        let name = &tensor.spec.name;
        let failed = |source| Error::Tensor { name: name.clone(), source };
        let source = self.plan.tensors(tensor.spec.source.checkpoint);
        let mut rest = self.file.tensor_bytes(name).unwrap_or_default();
        each_piece(source, tensor, PIECE, |bytes, source_type| {
            if self.observer.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let want = to_f32(&bytes, source_type, self.n_threads).map_err(failed)?;
            let n_bytes = dtype.row_size(want.len()).unwrap_or(0).min(rest.len());
            let (these, later) = rest.split_at(n_bytes);
            rest = later;
            let mut got = vec![0.0; want.len()];
            quant::dequantize(dtype, these, &mut got).map_err(failed)?;
            accumulate(group, &want, &got);
            self.observer.advance(name, bytes.len() as u64);
            Ok(true)
        })
    }
}

fn accumulate(group: &mut Group, want: &[f32], got: &[f32]) {
    for (&w, &g) in want.iter().zip(got) {
        let (w, d) = (f64::from(w), f64::from(g) - f64::from(w));
        group.error += d * d;
        group.signal += w * w;
        // Unlike max, this keeps a NaN.
        if d.is_nan() || d.abs() > group.max_abs {
            group.max_abs = d.abs();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_form_groups() {
        assert_eq!(group_name("v.blk.11.attn_q.weight"), "v.blk.*.attn_q.weight");
        assert_eq!(group_name("mm.0.bias"), "mm.*.bias");
    }

    #[test]
    fn a_nan_is_an_error_of_its_own() {
        let mut g = Group::default();
        accumulate(&mut g, &[1.0, 2.0], &[1.0, 2.5]);
        assert_eq!((g.max_abs, g.nmse()), (0.5, 0.25 / 5.0));
        accumulate(&mut g, &[1.0], &[f32::NAN]);
        assert!(g.nmse().is_nan() && g.max_abs.is_nan());
    }
}
