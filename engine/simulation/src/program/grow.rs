//! Grows programs from a seed. The one place that says how often which operation occurs.

use super::{
    Node, Program, all, breaks, child, complete, declared, fan, guard, human, note, race, sleep, step, stick, wait,
};
use crate::dice::Dice;

/// Operations of one root program with all its children and branches: enough to meet each other, few enough to be fast.
const OPERATIONS_MAX: u32 = 18;
/// Nesting of branches and children.
const DEPTH_MAX: u32 = 3;

/// Behind the name of a program that its run goes on with.
pub(crate) const NEXT: char = '+';

/// A program in the making.
pub(super) struct Grow<'a> {
    pub dice: &'a mut Dice,
    left: u32,
    depth: u32,
}

/// A root program.
pub(crate) fn grow(name: String, dice: &mut Dice) -> Program {
    let left = dice.between(1, u64::from(OPERATIONS_MAX)) as u32;
    let mut grow = Grow { dice, left, depth: 0 };
    let nodes = grow.list(5);
    let mut program = Program::new(name, nodes);
    if grow.dice.chance(0.25) {
        let name = next_name(&program.name);
        let nodes = grow.list(3);
        program.next = Some(Box::new(Program::new(name, nodes)));
    }
    program
}

/// Places of the next journal are none of the one before.
fn next_name(name: &str) -> String {
    format!("{name}{NEXT}")
}

impl Grow<'_> {
    /// One to `most` operations, as far as the budget goes.
    pub fn list(&mut self, most: u64) -> Vec<Node> {
        let wanted = self.dice.between(1, most);
        let mut nodes = Vec::new();
        while (nodes.len() as u64) < wanted && (self.left > 0 || nodes.is_empty()) {
            nodes.push(self.node());
        }
        nodes
    }

    /// Lists side by side, one level down.
    pub fn branches(&mut self, most: u64) -> Vec<Vec<Node>> {
        let wanted = self.dice.between(2, most);
        self.depth += 1;
        let branches = (0..wanted).map(|_| self.list(2)).collect();
        self.depth -= 1;
        branches
    }

    /// A list one level down.
    pub fn inner(&mut self, most: u64) -> Vec<Node> {
        self.depth += 1;
        let nodes = self.list(most);
        self.depth -= 1;
        nodes
    }

    fn node(&mut self) -> Node {
        self.left = self.left.saturating_sub(1);
        let may_nest = self.depth < DEPTH_MAX && self.left > 1;
        match self.dice.between(0, if may_nest { 99 } else { 67 }) {
            0..=31 => Node::Step(step::StepNode::generate(self)),
            32..=35 => Node::Stick(stick::StickNode::generate(self)),
            36..=37 => Node::Complete(complete::CompleteNode::generate(self)),
            38..=44 => Node::Sleep(sleep::SleepNode::generate(self)),
            45..=53 => Node::Wait(wait::WaitNode::generate(self)),
            54..=60 => Node::Human(human::HumanNode::generate(self)),
            61 => Node::Break(breaks::BreakNode::generate(self)),
            62..=64 => Node::Note(note::NoteNode::generate(self)),
            65..=67 => Node::Declared(declared::DeclaredNode::generate(self)),
            68..=70 => Node::Fan(fan::FanNode::generate(self)),
            71..=74 => Node::Child(child::ChildNode::generate(self)),
            75..=83 => Node::Guard(guard::GuardNode::generate(self)),
            84..=90 => Node::All(all::AllNode::generate(self)),
            _ => Node::Race(race::RaceNode::generate(self)),
        }
    }
}
