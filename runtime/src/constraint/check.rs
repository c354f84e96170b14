//! Which grammars can be matched: every rule is there, none begins with itself, and every way leads to an end.

use super::Error;
use super::gbnf::{Item, Rules};
use super::program::{Op, Program};

/// The grammar's program, without the alternatives that never end.
pub(super) fn checked(rules: Rules) -> Result<Program, Error> {
    if let Some(missing) = rules.list.iter().find(|r| !r.is_defined) {
        let reason = "is used but not defined";
        return Err(Error::Rule { rule: missing.name.clone(), reason });
    }
    let Some(root) = rules.list.iter().position(|r| r.name == "root") else {
        return Err(Error::Rule {
            rule: "root".into(),
            reason: "is missing: answers are its texts",
        });
    };
    let nullable = fixpoint(&rules, |item, known| matches!(item, Item::Rule(r) if known[*r]));
    check_left_recursion(&rules, &nullable)?;
    let ends = fixpoint(&rules, |item, known| match item {
        Item::Rule(r) => known[*r],
        Item::Set(s) => !rules.sets[*s].is_empty(),
    });
    if !ends[root] {
        return Err(Error::Rule { rule: "root".into(), reason: "allows no text that ends" });
    }
    Ok(compile(rules, root, &ends))
}

/// Rules of which some alternative consists of items that `holds` accepts; it is given what is known so far.
///
/// Each rule that becomes known is looked at once by those that use it, so the work grows with the grammar.
fn fixpoint(rules: &Rules, holds: impl Fn(&Item, &[bool]) -> bool) -> Vec<bool> {
    let mut users = vec![Vec::new(); rules.list.len()];
    for (i, rule) in rules.list.iter().enumerate() {
        for item in rule.alternatives.iter().flatten() {
            if let Item::Rule(r) = item {
                users[*r].push(i);
            }
        }
    }
    let mut known = vec![false; rules.list.len()];
    let mut todo: Vec<usize> = (0..rules.list.len()).collect();
    while let Some(i) = todo.pop() {
        let alternatives = &rules.list[i].alternatives;
        if !known[i] && alternatives.iter().any(|a| a.iter().all(|item| holds(item, &known))) {
            known[i] = true;
            todo.extend(&users[i]);
        }
    }
    known
}

/// Rules with which an alternative may begin.
fn beginnings(alternatives: &[Vec<Item>], nullable: &[bool]) -> Vec<usize> {
    let mut found = Vec::new();
    for alternative in alternatives {
        for item in alternative {
            let Item::Rule(r) = item else { break };
            found.push(*r);
            if !nullable[*r] {
                break;
            }
        }
    }
    found
}

/// Looks for a rule that can begin with itself: depth first, without recursion.
fn check_left_recursion(rules: &Rules, nullable: &[bool]) -> Result<(), Error> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; rules.list.len()];
    for start in 0..rules.list.len() {
        let mut path = vec![(start, None)];
        while let Some((rule, next)) = path.pop() {
            let mut next: Vec<usize> = match next {
                Some(next) => next,
                None if marks[rule] == Mark::Done => continue,
                None if marks[rule] == Mark::Open => {
                    let reason =
                        "begins with itself (or repeats what may be empty): that never ends";
                    return Err(Error::Rule { rule: rules.list[rule].name.clone(), reason });
                }
                None => beginnings(&rules.list[rule].alternatives, nullable),
            };
            marks[rule] = Mark::Open;
            match next.pop() {
                None => marks[rule] = Mark::Done,
                Some(child) => {
                    path.push((rule, Some(next)));
                    path.push((child, None));
                }
            }
        }
    }
    Ok(())
}

fn compile(rules: Rules, root: usize, ends: &[bool]) -> Program {
    let leads_on = |item: &Item| match item {
        Item::Rule(r) => ends[*r],
        Item::Set(s) => !rules.sets[*s].is_empty(),
    };
    let (mut ops, mut starts) = (Vec::new(), Vec::new());
    for rule in &rules.list {
        let mut of_rule = Vec::new();
        for alternative in rule.alternatives.iter().filter(|a| a.iter().all(leads_on)) {
            of_rule.push(ops.len() as u32);
            ops.extend(alternative.iter().map(|item| match item {
                Item::Rule(r) => Op::Call(*r as u32),
                Item::Set(s) => Op::Set(*s as u32),
            }));
            ops.push(Op::End);
        }
        starts.push(of_rule);
    }
    Program { ops, sets: rules.sets, rules: starts, root: root as u32 }
}
