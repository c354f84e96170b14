//! What graphs and tensors would take on a device, found out without taking it.

use std::collections::BTreeMap;

/// Needs of what was made on a backend that only rehearses ([`crate::Backend::rehearse`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// Bytes of a file's tensors that are copied to the device.
    pub weights: usize,
    /// Bytes of other tensors on the device, which graphs leave for each other.
    pub tensors: usize,
    /// Bytes of tensors that the device reads in mapped files.
    pub mapped: usize,
    /// Bytes of the convolutions' scratch space, which graphs share.
    pub scratch: usize,
    /// The graphs, in the order in which they were built.
    pub graphs: Vec<GraphPlan>,
}

/// One graph of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphPlan {
    /// Its name.
    pub name: String,
    /// Graphs with the same number here take turns with one piece of memory.
    pub memory: u64,
    /// Bytes of its intermediate tensors.
    pub bytes: usize,
    /// Its nodes, in the order in which they would run.
    pub nodes: Vec<NodePlan>,
}

/// One node of a graph of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlan {
    /// Its name.
    pub name: String,
    /// ggml's name of the operation.
    pub op: String,
    /// Whether the device has a kernel for it.
    pub is_supported: bool,
}

impl Rehearsal {
    /// Bytes of the device's memory that all of it takes together.
    pub fn total(&self) -> usize {
        self.weights + self.tensors + self.scratch + self.intermediate()
    }

    /// Bytes of the graphs' intermediate tensors: of those that take turns, the largest counts.
    pub fn intermediate(&self) -> usize {
        let mut largest = BTreeMap::new();
        for graph in &self.graphs {
            let bytes = largest.entry(graph.memory).or_insert(0);
            *bytes = graph.bytes.max(*bytes);
        }
        largest.values().sum()
    }

    /// Nodes that the device has no kernel for.
    pub fn unsupported(&self) -> impl Iterator<Item = &NodePlan> {
        self.graphs.iter().flat_map(|g| &g.nodes).filter(|n| !n.is_supported)
    }
}
