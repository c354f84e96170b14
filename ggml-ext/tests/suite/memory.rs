//! Graphs that take turns with one piece of memory.

use crate::{cpu, noise};
use ggml_ext::Error;
use ggml_ext::graph::{Graph, Input, Memory, Output};

struct Doubler {
    graph: Graph,
    input: Input,
    output: Output,
}

impl Doubler {
    fn new(memory: &Memory, n: usize) -> Doubler {
        let (graph, (input, output)) = Graph::build_in("doubler", memory, 16, |g| {
            let (x, input) = g.input("x", &[n]);
            // A view, so that one has to find its way back, too.
            let half = g.slice(x, 0, 0, n / 2);
            let other = g.slice(x, 0, n / 2, n / 2);
            let twice = g.concat(g.add(half, half), g.add(other, other), 0);
            Ok::<_, Error>((input, g.output(twice, "y")))
        })
        .expect("a graph");
        Doubler { graph, input, output }
    }

    fn double(&mut self, x: &[f32]) {
        self.graph.set(self.input, x).expect("the right size");
        self.graph.run().expect("a run");
        let mut y = Vec::new();
        self.graph.get(self.output, &mut y);
        assert!(y.iter().zip(x).all(|(y, x)| *y == 2.0 * x) && y.len() == x.len());
    }
}

#[test]
fn graphs_that_take_turns_need_what_the_largest_needs() {
    let memory = Memory::new(&cpu()).expect("memory");
    // The last one is larger than what there is by then: the memory moves.
    let sizes = [600, 1000, 10, 1000, 50_000];
    let mut graphs: Vec<_> = sizes.iter().map(|&n| Doubler::new(&memory, n)).collect();
    for round in 0..3 {
        for (doubler, &n) in graphs.iter_mut().zip(&sizes) {
            doubler.double(&noise(n, 1 + round));
        }
    }
    graphs[1].double(&noise(1000, 9));
    graphs[3].double(&noise(1000, 10));
    let alone = Doubler::new(&Memory::new(&cpu()).expect("memory"), 50_000).graph.buffer_size();
    assert_eq!(graphs[0].graph.buffer_size(), alone);
    assert!(alone < 6 * 50_000 * 4, "{alone}");
}

#[test]
fn a_graph_whose_inputs_are_lost_does_not_run() {
    let memory = Memory::new(&cpu()).expect("memory");
    let (mut first, mut second) = (Doubler::new(&memory, 100), Doubler::new(&memory, 100));
    first.graph.set(first.input, &noise(100, 1)).expect("the right size");
    second.double(&noise(100, 2));
    let error = first.graph.run().expect_err("its inputs are gone").to_string();
    assert!(error.contains("doubler") && error.contains("took its memory"), "{error}");
    first.double(&noise(100, 3));
}

#[test]
#[should_panic = "no results"]
fn results_are_gone_when_another_graph_has_its_turn() {
    let memory = Memory::new(&cpu()).expect("memory");
    let (mut first, mut second) = (Doubler::new(&memory, 100), Doubler::new(&memory, 10));
    first.double(&noise(100, 1));
    second.double(&noise(10, 2));
    first.graph.get(first.output, &mut Vec::new());
}
