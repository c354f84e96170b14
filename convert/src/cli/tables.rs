//! What is printed: tables for people, JSON for programs.

use gpt4roi_convert::verify::{Report, bound};
use gpt4roi_convert::{FilePlan, Plan, TensorPlan};
use serde_json::{Value, json};
use std::fmt::Write;

/// Each tensor of a conversion.
pub fn plan(plan: &Plan) -> String {
    let mut out = String::new();
    for file in plan.files() {
        let _ = writeln!(out, "{}", file.path.display());
        for t in &file.tensors {
            let _ = writeln!(out, "{}", tensor(t));
        }
        out.push('\n');
    }
    out
}

fn tensor(t: &TensorPlan) -> String {
    let (spec, file) = (&t.spec, t.source.file_name().unwrap_or_default().to_string_lossy());
    let kind = if t.fell_back() {
        format!("{} (instead of {})", t.dtype, t.wanted)
    } else {
        t.dtype.to_string()
    };
    format!(
        "  {:<30} {:<22} {:>11}  {} <- {file}: {} {}",
        spec.name,
        format!("{:?}", spec.shape),
        t.n_bytes(),
        kind,
        spec.source.name,
        t.source_type,
    )
}

/// The two files with their sizes, and how many tensors fell back to other types.
pub fn files(plan: &Plan) -> String {
    let mut out = String::new();
    for file in plan.files() {
        let (n, mb) = (file.tensors.len(), file.n_bytes() as f64 / 1e6);
        let _ = writeln!(out, "{}  {n} tensors, {mb:.1} MB", file.path.display());
        let kinds = fallbacks(file);
        for ((wanted, got), names) in &kinds {
            let example = &names[0];
            let n = names.len();
            let _ = writeln!(out, "  {n} tensors are {got} instead of {wanted}, such as {example}");
        }
    }
    out
}

/// Names of tensors by the types that were wanted and are written.
fn fallbacks(file: &FilePlan) -> std::collections::BTreeMap<(String, String), Vec<String>> {
    let mut kinds = std::collections::BTreeMap::<_, Vec<String>>::new();
    for t in file.tensors.iter().filter(|t| t.fell_back()) {
        let key = (t.wanted.to_string(), t.dtype.to_string());
        kinds.entry(key).or_default().push(t.spec.name.clone());
    }
    kinds
}

/// A conversion as JSON.
pub fn plan_json(plan: &Plan, dry_run: bool) -> Value {
    let files: Vec<Value> = plan
        .files()
        .iter()
        .map(|f| {
            let tensors: Vec<Value> = f.tensors.iter().map(tensor_json).collect();
            json!({"path": f.path, "bytes": f.n_bytes(), "tensors": tensors})
        })
        .collect();
    json!({"name": plan.name, "dry_run": dry_run, "files": files})
}

fn tensor_json(t: &TensorPlan) -> Value {
    json!({
        "name": t.spec.name, "shape": t.spec.shape, "type": t.dtype.name(),
        "wanted": t.wanted.name(), "bytes": t.n_bytes(), "source": t.source,
        "source_name": t.spec.source.name, "source_type": t.source_type.name(),
    })
}

/// Errors of a file against its source.
pub fn report(r: &Report) -> String {
    let mut out = format!(
        "{:<28} {:<6} {:>7} {:>10} {:>10} {:>10}\n",
        "group", "type", "tensors", "NMSE", "allowed", "max abs"
    );
    for ((name, dtype), g) in &r.groups {
        let (nmse, bound) = (g.nmse(), bound(*dtype));
        let mark = if nmse <= bound { "" } else { "  TOO LARGE" };
        let _ = writeln!(
            out,
            "{name:<28} {:<6} {:>7} {nmse:>10.2e} {bound:>10.0e} {:>10.2e}{mark}",
            dtype.name(),
            g.n_tensors,
            g.max_abs
        );
    }
    for key in &r.keys {
        let _ = writeln!(out, "key `{key}` is missing or differs from the source");
    }
    out.push_str(if r.is_good() { "good\n" } else { "NOT the same model\n" });
    out
}

/// The same as JSON.
pub fn report_json(r: &Report) -> Value {
    let groups: Vec<Value> = r
        .groups
        .iter()
        .map(|((name, dtype), g)| {
            json!({"group": name, "type": dtype.name(), "tensors": g.n_tensors,
                "nmse": g.nmse(), "allowed": bound(*dtype), "max_abs": g.max_abs})
        })
        .collect();
    json!({"good": r.is_good(), "groups": groups, "keys": r.keys})
}
