//! `gpt4roi compare`.

use crate::args::Compare;
use crate::{output, setup};
use gpt4roi::EngineOptions;
use gpt4roi::compare::{Report, Row, compare};
use serde::Serialize;
use std::io::Write;

#[derive(Serialize)]
struct Output<'a> {
    ok: bool,
    first_departure: Option<&'a Row>,
    #[serde(flatten)]
    report: &'a Report,
}

pub(crate) fn run(args: &Compare) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    let mut options = EngineOptions::new(&args.model, &args.mmproj);
    options.n_threads = args.threads;
    options.devices.device = crate::asking::device(args.device.as_deref());
    let report = compare(&options, &args.golden)?;
    let first_departure = report.first_departure();
    let ok = first_departure.is_none();
    if args.json {
        output::json(&Output { ok, first_departure, report: &report })?;
    } else {
        table(&report)?;
    }
    Ok(if ok { crate::DONE } else { crate::FAILED })
}

fn table(report: &Report) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<5}  {:<26}  {:>9}  {:>9}", "round", "value", "error", "bound")?;
    for row in &report.rows {
        let mark = if row.is_ok() { "" } else { "  <-- out of bounds" };
        let (round, name, note) = (row.round, &row.name, &row.note);
        writeln!(
            out,
            "{round:<5}  {name:<26}  {:>9.2e}  {:>9.0e}  {note}{mark}",
            row.error, row.bound
        )?;
    }
    match report.first_departure() {
        None => writeln!(out, "all {} values within bounds", report.rows.len())?,
        Some(row) => writeln!(out, "first departure: round {}, {}", row.round, row.name)?,
    }
    Ok(())
}
