//! Few lines for many cells: [`lines`] puts cells that cost about the same into one.
//!
//! Where a kernel costs about the same everywhere, its name is the key. Cells of it that differ have lines of their own, which
//! go before. Lines of one kind for kernels that follow each other in the matrix become one.

use super::super::Ceiling;
use super::super::check::kernel_of;
use super::{NewLine, is_same_kind, key};

/// What is to be expected of a program in a cell.
#[derive(Clone, Debug)]
pub(super) struct Value {
    /// What is written.
    pub(super) ceiling: Ceiling,
    /// What was measured, with its room; `None` when nothing was: only what was measured may move.
    pub(super) measured: Option<Ceiling>,
    /// Why, of what is refused.
    pub(super) reason: Option<String>,
    /// Whether a line that stays would say otherwise: then it needs one of cells, which goes before.
    pub(super) is_exception: bool,
}

/// What a line has to say of a cell.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// This.
    Value(Value),
    /// Nothing: another line, one of cells that stays, goes before.
    ByHand,
    /// Nothing, and no line may be of it.
    Nothing,
}

/// Which cells of a kernel a line is of; `None`: all.
type Shape = Option<(Vec<String>, Vec<String>)>;

/// Whether one ceiling can stand for both.
pub(super) fn is_close(one: &Ceiling, other: &Ceiling) -> bool {
    match (one, other) {
        (&Ceiling::Loads { insns: a, stack: x }, &Ceiling::Loads { insns: b, stack: y }) => {
            (a.abs_diff(b) <= 200 || 10 * a.min(b) >= 9 * a.max(b))
                && x.is_some() == y.is_some()
                && x.unwrap_or_default().abs_diff(y.unwrap_or_default()) <= 32
        }
        _ => one == other,
    }
}

/// The lines for all of `cells`, which are in the matrix's order.
pub(super) fn lines(cells: &[(String, Place)]) -> Vec<NewLine> {
    let mut kernels: Vec<&str> = Vec::new();
    for (cell, _) in cells {
        if !kernels.contains(&kernel_of(cell)) {
            kernels.push(kernel_of(cell));
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for kernel in kernels {
        let own: Vec<Cell<'_>> = cells.iter().filter_map(|(id, place)| Cell::of(id, place, kernel)).collect();
        for (shape, group) in shapes(&own) {
            let last = rows.iter_mut().rev().find(|row| row.shape == shape);
            match last {
                Some(row) if row.group.has_reason_of(&group) && row.group.can_join(&group) => {
                    row.group.join(group);
                    row.kernels.push(kernel.to_owned());
                }
                _ => rows.push(Row { kernels: vec![kernel.to_owned()], shape, group }),
            }
        }
    }
    rows.sort_by_key(|row| row.shape.is_some());
    rows.into_iter().map(Row::into_line).collect()
}

/// Kernels that share a line.
struct Row {
    kernels: Vec<String>,
    shape: Shape,
    group: Group,
}

impl Row {
    fn into_line(self) -> NewLine {
        let key = match &self.shape {
            None => self.kernels.join(" "),
            Some((arches, llvm)) => key::of_cells(arches, &self.kernels, llvm),
        };
        NewLine { key, ceiling: self.group.ceiling, reason: self.group.reason }
    }
}

/// A cell of one kernel.
#[derive(Clone, Copy)]
struct Cell<'a> {
    arch: &'a str,
    llvm: &'a str,
    place: &'a Place,
}

impl<'a> Cell<'a> {
    fn of(id: &'a str, place: &'a Place, kernel: &str) -> Option<Self> {
        let (home, llvm) = id.rsplit_once('/')?;
        let (arch, its_kernel) = home.split_once('/')?;
        (its_kernel == kernel).then_some(Self { arch, llvm, place })
    }
}

/// Values that one ceiling stands for.
#[derive(Clone)]
struct Group {
    ceiling: Ceiling,
    reason: Option<String>,
    /// The least and the most that were measured; `None` when something was not.
    measured: Option<(Ceiling, Ceiling)>,
    is_exception: bool,
}

impl Group {
    fn of(value: &Value) -> Self {
        Self {
            ceiling: value.ceiling.clone(),
            reason: value.reason.clone(),
            measured: value.measured.clone().map(|measured| (measured.clone(), measured)),
            is_exception: value.is_exception,
        }
    }

    fn has_reason_of(&self, other: &Self) -> bool {
        self.reason == other.reason
    }

    /// Whether the least of both is close to the most of both, so that no row of small steps leads far.
    fn can_join(&self, other: &Self) -> bool {
        if self.is_exception != other.is_exception || !is_same_kind(&self.ceiling, &other.ceiling) {
            return false;
        }
        let spread = self.measured.as_ref().zip(other.measured.as_ref()).map(|(one, another)| spread(one, another));
        self.ceiling == other.ceiling || spread.is_some_and(|(least, most)| is_close(&least, &most))
    }

    fn join(&mut self, other: Self) {
        self.ceiling = most(&self.ceiling, &other.ceiling);
        self.measured = self.measured.as_ref().zip(other.measured.as_ref()).map(|(one, another)| spread(one, another));
    }
}

fn spread(one: &(Ceiling, Ceiling), another: &(Ceiling, Ceiling)) -> (Ceiling, Ceiling) {
    (least(&one.0, &another.0), most(&one.1, &another.1))
}

fn most(one: &Ceiling, other: &Ceiling) -> Ceiling {
    each(one, other, u64::max, Option::max)
}

fn least(one: &Ceiling, other: &Ceiling) -> Ceiling {
    each(one, other, u64::min, Option::min)
}

/// Both in one, number by number; of verdicts, which are the same, the first.
fn each(
    one: &Ceiling,
    other: &Ceiling,
    insns: fn(u64, u64) -> u64,
    stack: fn(Option<u32>, Option<u32>) -> Option<u32>,
) -> Ceiling {
    match (one, other) {
        (&Ceiling::Loads { insns: a, stack: x }, &Ceiling::Loads { insns: b, stack: y }) => {
            Ceiling::Loads { insns: insns(a, b), stack: stack(x, y) }
        }
        (one, _) => one.clone(),
    }
}

/// Groups of the cells of one kernel, with the cells that each is of.
fn shapes(cells: &[Cell<'_>]) -> Vec<(Shape, Group)> {
    let mut groups: Vec<(Group, Vec<Cell<'_>>)> = Vec::new();
    for cell in cells {
        let Place::Value(value) = cell.place else { continue };
        let group = Group::of(value);
        match groups.iter_mut().find(|(other, _)| other.can_join(&group)) {
            Some((other, own)) => {
                other.join(group);
                own.push(*cell);
            }
            None => groups.push((group, vec![*cell])),
        }
    }
    let is_whole = cells.iter().all(|cell| !matches!(cell.place, Place::Nothing));
    let most = groups.iter().filter(|(group, _)| !group.is_exception).map(|(_, own)| own.len()).max();
    let base = groups.iter().position(|(group, own)| is_whole && !group.is_exception && Some(own.len()) == most);
    let mut shapes = Vec::new();
    for (place, (group, own)) in groups.into_iter().enumerate() {
        if Some(place) == base {
            shapes.insert(0, (None, group));
            continue;
        }
        shapes.extend(blocks(&own, cells).into_iter().map(|block| (Some(block), group.clone())));
    }
    shapes
}

/// Some cells of a kernel as products of architectures and LLVM releases; `*` where they are all that the kernel has.
fn blocks(own: &[Cell<'_>], all: &[Cell<'_>]) -> Vec<(Vec<String>, Vec<String>)> {
    let mut blocks: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for arch in arches(own) {
        let of_arch = |cells: &[Cell<'_>]| -> Vec<String> {
            cells.iter().filter(|cell| cell.arch == arch).map(|cell| cell.llvm.to_owned()).collect()
        };
        let (mut llvm, every) = (of_arch(own), of_arch(all));
        if llvm.len() == every.len() {
            llvm = vec!["*".to_owned()];
        }
        llvm.sort();
        match blocks.iter_mut().find(|(_, other)| *other == llvm) {
            Some((arches, _)) => arches.push(arch.to_owned()),
            None => blocks.push((vec![arch.to_owned()], llvm)),
        }
    }
    let every = arches(all).len();
    for (arches, llvm) in &mut blocks {
        if arches.len() == every && every > 1 && *llvm != ["*"] {
            *arches = vec!["*".to_owned()];
        }
    }
    blocks
}

fn arches<'a>(cells: &[Cell<'a>]) -> Vec<&'a str> {
    let mut arches: Vec<&str> = Vec::new();
    for cell in cells {
        if !arches.contains(&cell.arch) {
            arches.push(cell.arch);
        }
    }
    arches
}
