//! A grammar in the form in which it is matched.

use super::charset::CharSet;

/// One step of an alternative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// A character of the set of that number.
    Set(u32),
    /// Whatever the rule of that number allows.
    Call(u32),
    /// The alternative is complete.
    End,
}

/// Rules as sequences of steps, which lie one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) sets: Vec<CharSet>,
    /// For each rule where its alternatives begin in `ops`.
    pub(super) rules: Vec<Vec<u32>>,
    /// Where matching begins.
    pub(super) root: u32,
}

impl Program {
    /// The same with fixed text around it, behind an optional blank. That blank is the one that a vocabulary may put in front of
    /// text and that is not shown.
    pub(super) fn surrounded(&self, before: &str, after: &str) -> Surrounded {
        let mut program = self.clone();
        let blank = program.rule_of(|p| vec![vec![p.char(' '), Op::End], vec![Op::End]]);
        let mut after_at = 0;
        let start = program.rule_of(|p| {
            let mut ops = vec![Op::Call(blank)];
            ops.extend(before.chars().map(|c| p.char(c)));
            ops.push(Op::Call(p.root));
            after_at = ops.len();
            ops.extend(after.chars().map(|c| p.char(c)));
            ops.push(Op::End);
            vec![ops]
        });
        program.root = start;
        let first = program.rules[start as usize][0];
        Surrounded { program, after_at: first + after_at as u32 }
    }

    fn char(&mut self, c: char) -> Op {
        self.sets.push(CharSet::one(c as u32));
        Op::Set(self.sets.len() as u32 - 1)
    }

    /// Adds a rule of the alternatives that `make` gives, each with its end.
    fn rule_of(&mut self, make: impl FnOnce(&mut Program) -> Vec<Vec<Op>>) -> u32 {
        let alternatives = make(self);
        let mut starts = Vec::new();
        for ops in alternatives {
            starts.push(self.ops.len() as u32);
            self.ops.extend(ops);
        }
        self.rules.push(starts);
        self.rules.len() as u32 - 1
    }
}

/// A program between fixed texts.
#[derive(Clone, Debug)]
pub(crate) struct Surrounded {
    pub(super) program: Program,
    /// The step at which the text behind it begins.
    pub(super) after_at: u32,
}
