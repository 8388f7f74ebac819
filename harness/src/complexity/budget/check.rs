//! Holds a table against the budget: [`Verification`].

use std::collections::BTreeSet;
use std::fmt;

use bpf_complexity::record::{INSNS_LIMIT, MAP_LIMIT, STACK_LIMIT_BYTES};
use bpf_complexity::{Record, Verdict};

use super::{Budget, Ceiling, Limits};
use crate::complexity::table::Table;

/// What a program may cost only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Instructions that the verifier processed.
    Insns,
    /// Bytes of stack.
    Stack,
    /// Maps.
    Maps,
}

impl Quantity {
    /// The most that the kernel takes.
    #[must_use]
    pub fn limit(self) -> u64 {
        match self {
            Self::Insns => INSNS_LIMIT,
            Self::Stack => u64::from(STACK_LIMIT_BYTES),
            Self::Maps => u64::from(MAP_LIMIT),
        }
    }

    /// What a program took of it.
    #[must_use]
    pub fn of(self, record: &Record) -> Option<u64> {
        match self {
            Self::Insns => record.processed(),
            Self::Stack => record.stack_max.map(u64::from),
            Self::Maps => record.map_count.map(u64::from),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Insns => "instructions processed",
            Self::Stack => "bytes of stack",
            Self::Maps => "maps",
        }
    }
}

/// How a program broke the budget in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It costs more than its ceiling.
    Ceiling {
        /// What.
        quantity: Quantity,
        /// What it costs.
        found: u64,
        /// What it may.
        ceiling: u64,
    },
    /// It costs more than every program may.
    Limit {
        /// What.
        quantity: Quantity,
        /// What it costs.
        found: u64,
        /// Of the kernel's limit, in percent.
        percent: u64,
    },
    /// The kernel's answer is not the one that the budget knows.
    Verdict {
        /// The one that it knows.
        expected: Verdict,
        /// The one that came.
        found: Verdict,
        /// Why, where it was not taken.
        reason: Option<String>,
    },
    /// There is a ceiling, and no word of the program.
    Vanished,
}

impl Breach {
    /// Whether it differs in no more than numbers.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ceiling { quantity, ceiling, .. }, Self::Ceiling { quantity: of, ceiling: at, .. }) => {
                (quantity, ceiling) == (of, at)
            }
            (Self::Limit { quantity, .. }, Self::Limit { quantity: of, .. }) => quantity == of,
            _ => self == other,
        }
    }

    /// What the program costs, where that is the matter.
    #[must_use]
    pub fn found(&self) -> Option<u64> {
        match self {
            Self::Ceiling { found, .. } | Self::Limit { found, .. } => Some(*found),
            Self::Verdict { .. } | Self::Vanished => None,
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ceiling { quantity, found, ceiling } => {
                write!(f, "expected at most {ceiling} {}, found {found}", quantity.name())
            }
            Self::Limit { quantity, found, percent } => {
                let limit = quantity.limit();
                write!(f, "expected at most {percent} % of {limit} {}, found {found}", quantity.name())
            }
            Self::Verdict { expected, found, reason } => {
                write!(f, "expected {expected}, found {found}")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::Vanished => f.write_str("expected a record of it, found none"),
        }
    }
}

/// A breach with its program and cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The program, as budgets name it; of one that vanished, the budget's key.
    pub program: String,
    /// The cell's id.
    pub cell: String,
    /// How the budget was broken.
    pub breach: Breach,
}

/// What holding a table against the budget came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Every breach, by program and then in the table's order.
    pub findings: Vec<Finding>,
    /// Programs that load somewhere without a ceiling there, or without a number to hold against it.
    pub uncovered: BTreeSet<String>,
}

impl Budget {
    /// Holds every record of `table` against its ceiling, and looks for programs that have one and no record.
    #[must_use]
    pub fn verify(&self, table: &Table) -> Verification {
        let mut verification = Verification::default();
        let mut seen: BTreeSet<(usize, String)> = BTreeSet::new();
        for entry in table.entries() {
            let (program, cell) = (entry.id.to_string(), entry.cell());
            let place = self.entries.iter().position(|candidate| candidate.glob.is_match(&program));
            seen.extend(place.map(|place| (place, cell.clone())));
            let line = place.and_then(|place| self.entries[place].line(&cell, entry.kernel));
            let loads = entry.record.verdict == Verdict::Ok;
            if loads && (line.is_none() || entry.record.processed().is_none()) {
                verification.uncovered.insert(program.clone());
            }
            let breaches = line.map(|line| line.ceiling.breaches(entry.record)).unwrap_or_default();
            let breaches = breaches.into_iter().chain(self.limits.breaches(entry.record));
            let finding = |breach| Finding { program: program.clone(), cell: cell.clone(), breach };
            verification.findings.extend(breaches.map(finding));
        }
        for (place, entry) in self.entries.iter().enumerate() {
            let expected = |cell: &&String| entry.line(cell, kernel_of(cell)).is_some();
            let missing = table.cells.iter().filter(expected).filter(|cell| !seen.contains(&(place, (*cell).clone())));
            verification.findings.extend(missing.map(|cell| Finding {
                program: entry.key.clone(),
                cell: cell.clone(),
                breach: Breach::Vanished,
            }));
        }
        verification.findings.sort_by(|one, other| one.program.cmp(&other.program));
        verification
    }
}

/// The kernel's name in a cell's id.
pub(super) fn kernel_of(cell: &str) -> &str {
    cell.split_once('/').and_then(|(_arch, rest)| rest.rsplit_once('/')).map_or("", |(kernel, _llvm)| kernel)
}

impl Ceiling {
    fn breaches(&self, record: &Record) -> Vec<Breach> {
        let verdict = |expected| Breach::Verdict { expected, found: record.verdict, reason: record.reason.clone() };
        match self {
            Self::Known(expected) if record.verdict == *expected => Vec::new(),
            Self::Known(expected) => vec![verdict(*expected)],
            Self::Loads { .. } if record.verdict != Verdict::Ok => vec![verdict(Verdict::Ok)],
            Self::Loads { insns, stack } => {
                let over = |quantity: Quantity, ceiling: u64| {
                    let found = quantity.of(record).filter(|found| *found > ceiling)?;
                    Some(Breach::Ceiling { quantity, found, ceiling })
                };
                let stack = stack.and_then(|stack| over(Quantity::Stack, u64::from(stack)));
                over(Quantity::Insns, *insns).into_iter().chain(stack).collect()
            }
        }
    }
}

impl Limits {
    fn breaches(&self, record: &Record) -> impl Iterator<Item = Breach> {
        let percents = [
            (Quantity::Insns, self.insns_percent),
            (Quantity::Stack, self.stack_percent),
            (Quantity::Maps, self.maps_percent),
        ];
        let found = percents.map(|(quantity, percent)| (quantity, percent, quantity.of(record)));
        let loads = record.verdict == Verdict::Ok;
        found.into_iter().filter(move |_| loads).filter_map(|(quantity, percent, found)| {
            let found = found.filter(|found| found.saturating_mul(100) > quantity.limit().saturating_mul(percent))?;
            Some(Breach::Limit { quantity, found, percent })
        })
    }
}
