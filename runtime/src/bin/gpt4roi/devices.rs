//! `gpt4roi devices`.

use crate::{demo_model, output, setup};
use argh::FromArgs;
use gpt4roi::placement::{ImageNeeds, Target, measure_image};
use gpt4roi::{DeviceInfo, DeviceKind, EngineOptions, devices};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

/// List the devices that can compute, and what of the image side's graphs runs on each.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "devices",
    example = "{command_name} --mmproj mmproj-gpt4roi-F16.gguf",
    note = "Which there are besides the CPU depends on how the program was built (features cuda, metal, vulkan) and on the
drivers that are installed. `gpt4roi ask -v` says what was placed where.",
    error_code(1, "a device lacks an operation that the image side needs there")
)]
pub(crate) struct Devices {
    /// vision tower and region extractor whose graphs are looked at, a GGUF file (default: the demo model's)
    #[argh(option, arg_name = "file")]
    mmproj: Option<PathBuf>,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
    /// say what is being done; twice for more
    #[argh(switch, short = 'v')]
    verbose: u8,
}

#[derive(Serialize)]
struct Listing {
    #[serde(skip_serializing_if = "Option::is_none")]
    mmproj: Option<PathBuf>,
    devices: Vec<Device>,
}

#[derive(Serialize)]
struct Device {
    name: String,
    description: String,
    kind: &'static str,
    memory_free: usize,
    memory_total: usize,
    maps_host_memory: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_side: Option<ImageSide>,
}

impl Device {
    fn unsupported(&self) -> &[Node] {
        self.image_side.as_ref().map_or(&[], |side| &side.unsupported)
    }

    /// Nodes of an operation.
    fn n_nodes(&self, op: &str) -> Option<usize> {
        self.image_side.as_ref()?.ops.get(op).copied()
    }
}

/// What the image side is there.
#[derive(Serialize)]
struct ImageSide {
    bytes: usize,
    /// How many nodes each operation has.
    ops: BTreeMap<String, usize>,
    /// Nodes that cannot run there.
    unsupported: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    graph: String,
    name: String,
    op: String,
}

pub(crate) fn run(args: &Devices) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    let mmproj = args.mmproj.clone().or_else(demo);
    let look = |info: DeviceInfo| look_at(info, mmproj.as_deref());
    let devices = devices().into_iter().map(look).collect::<anyhow::Result<_>>()?;
    let listing = Listing { mmproj, devices };
    match args.json {
        true => output::json(&listing)?,
        false => print(&listing)?,
    }
    let is_complete = listing.devices.iter().all(|d| d.unsupported().is_empty());
    Ok(if is_complete { crate::DONE } else { crate::FAILED })
}

/// The demo model's file. Without it there are devices all the same.
fn demo() -> Option<PathBuf> {
    let files = demo_model::choose(None, None);
    files.inspect_err(|e| eprintln!("gpt4roi: {e:#}")).ok().map(|files| files.mmproj)
}

fn look_at(info: DeviceInfo, mmproj: Option<&Path>) -> anyhow::Result<Device> {
    let measure = |mmproj| {
        measure_image(&EngineOptions::new("", mmproj), Target::Device(&info.name)).map(image_side)
    };
    let image_side = mmproj.map(measure).transpose()?;
    Ok(Device {
        kind: match info.kind {
            DeviceKind::Cpu => "CPU",
            DeviceKind::Gpu => "GPU",
            DeviceKind::IntegratedGpu => "integrated GPU",
            DeviceKind::Accelerator => "accelerator",
        },
        name: info.name,
        description: info.description,
        memory_free: info.memory_free,
        memory_total: info.memory_total,
        maps_host_memory: info.maps_host_memory,
        image_side,
    })
}

fn image_side(needs: ImageNeeds) -> ImageSide {
    let (mut ops, mut unsupported) = (BTreeMap::new(), Vec::new());
    for graph in &needs.rehearsal.graphs {
        for node in &graph.nodes {
            *ops.entry(node.op.clone()).or_default() += 1;
            if !node.is_supported {
                let (graph, name, op) = (graph.name.clone(), node.name.clone(), node.op.clone());
                unsupported.push(Node { graph, name, op });
            }
        }
    }
    ImageSide { bytes: needs.bytes(), ops, unsupported }
}

fn print(listing: &Listing) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
    for d in &listing.devices {
        let (name, kind, text) = (&d.name, d.kind, &d.description);
        let (free, all) = (gib(d.memory_free), gib(d.memory_total));
        writeln!(out, "{name:<10} {kind:<15} {free:6.1} of {all:6.1} GiB free  {text}")?;
    }
    let Some(mmproj) = &listing.mmproj else { return Ok(()) };
    writeln!(out, "\nNodes of the image side of {}:\n", mmproj.display())?;
    let names: String = listing.devices.iter().map(|d| format!("{:>10}", d.name)).collect();
    writeln!(out, "{:<24}{names}", "operation")?;
    let sides = listing.devices.iter().filter_map(|d| d.image_side.as_ref());
    for op in sides.flat_map(|side| side.ops.keys()).collect::<BTreeSet<_>>() {
        let n = |d: &Device| d.n_nodes(op).map_or("-".into(), |n| n.to_string());
        let row: String = listing.devices.iter().map(|d| format!("{:>10}", n(d))).collect();
        writeln!(out, "{op:<24}{row}")?;
    }
    for d in &listing.devices {
        for Node { graph, name, op } in d.unsupported() {
            writeln!(out, "{} has no {op} for node {name} of {graph}", d.name)?;
        }
    }
    Ok(())
}
