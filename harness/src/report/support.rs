//! What each kernel turned out to be capable of, as a table of a run: [`Support`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::matrix::Arch;
use crate::report::grid::{Entry, Grid, Row};
use crate::report::text::{self, Style};
use crate::report::{markdown, table};
use crate::run::outcome::{CellOutcome, RunOutcome, Verdict};

/// The kernels of a run whose tests reported capabilities, by architecture, in the plan's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Support {
    arches: BTreeMap<Arch, Vec<KernelSupport>>,
}

/// What one kernel is capable of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct KernelSupport {
    /// Its name in the matrix.
    kernel: String,
    /// What `uname -r` prints.
    release: String,
    /// By capability, what was found, each with the LLVM releases whose bundles found it, newest first.
    capabilities: BTreeMap<String, Vec<Found>>,
}

/// One value of a capability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Found {
    /// What was reported.
    value: String,
    /// The LLVM releases.
    llvm: Vec<u32>,
}

impl Support {
    /// What the last attempts at the cells of `run` found.
    #[must_use]
    pub fn of(run: &RunOutcome) -> Self {
        let mut arches: BTreeMap<Arch, Vec<KernelSupport>> = BTreeMap::new();
        for cell in &run.cells {
            let found: Vec<_> = found(cell).collect();
            if found.is_empty() {
                continue;
            }
            let kernels = arches.entry(cell.arch).or_default();
            let place = kernels.iter().position(|known| known.kernel == cell.kernel.name).unwrap_or_else(|| {
                let (kernel, release) = (cell.kernel.name.clone(), cell.kernel.release.clone());
                kernels.push(KernelSupport { kernel, release, capabilities: BTreeMap::new() });
                kernels.len() - 1
            });
            for (name, value) in found {
                kernels[place].add(name, value, cell.llvm);
            }
        }
        Self { arches }
    }

    /// Whether nothing was reported at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arches.is_empty()
    }

    /// For a terminal, at most 100 columns wide.
    #[must_use]
    pub fn to_text(&self, style: Style) -> String {
        let mut out = String::new();
        self.grids().iter().for_each(|grid| table::render_grid(grid, style, &mut out));
        out
    }

    /// In GitHub's Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        self.grids().iter().for_each(|grid| markdown::render_grid(grid, &mut out));
        out
    }

    fn grids(&self) -> Vec<Grid> {
        self.arches.iter().map(|(arch, kernels)| grid(*arch, kernels)).collect()
    }
}

/// The capabilities that the tests of `cell` reported.
fn found(cell: &CellOutcome) -> impl Iterator<Item = (&str, &str)> {
    let capabilities = cell.attempts.last().into_iter().flat_map(|attempt| &attempt.capabilities);
    capabilities.filter_map(|capability| Some((capability.name.as_str(), capability.found.as_deref()?)))
}

impl KernelSupport {
    fn add(&mut self, name: &str, value: &str, llvm: u32) {
        let known = self.capabilities.entry(name.to_owned()).or_default();
        match known.iter_mut().find(|found| found.value == value) {
            Some(found) => found.llvm.push(llvm),
            None => known.push(Found { value: value.to_owned(), llvm: vec![llvm] }),
        }
    }

    /// What stands in the table: the value, or each value with the LLVM releases that found it.
    fn text(&self, name: &str) -> Option<String> {
        let said = |found: &Found| {
            let releases: Vec<String> = found.llvm.iter().map(ToString::to_string).collect();
            format!("{} (LLVM {})", text::one_line(&found.value), releases.join(", "))
        };
        match self.capabilities.get(name)?.as_slice() {
            [only] => Some(text::one_line(&only.value)),
            several => Some(several.iter().map(said).collect::<Vec<_>>().join("; ")),
        }
    }
}

/// Kernels × capabilities.
fn grid(arch: Arch, kernels: &[KernelSupport]) -> Grid {
    let names: BTreeSet<&str> =
        kernels.iter().flat_map(|kernel| kernel.capabilities.keys().map(String::as_str)).collect();
    let width = kernels.iter().map(|kernel| text::width(&kernel.kernel)).max().unwrap_or(0);
    let row = |kernel: &KernelSupport| {
        let entry = |text: String| Entry { verdict: Verdict::Pass, text, time: String::new() };
        let label = format!("{}  {}", text::pad(&kernel.kernel, width), text::one_line(&kernel.release));
        Row { label, entries: names.iter().map(|name| kernel.text(name).map(entry)).collect() }
    };
    Grid {
        title: arch.to_string(),
        cut_labels: true,
        columns: names.iter().map(|name| text::one_line(name)).collect(),
        rows: kernels.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::run::outcome::Capability;

    fn run() -> RunOutcome {
        let cell = |arch, kernel, llvm, found: &[(&str, &str)]| {
            let mut cell = fixture::cell(arch, kernel, llvm, vec![fixture::attempt(vec![])]);
            let capability = |(name, value): &(&str, &str)| Capability {
                name: name.to_string(),
                found: Some(value.to_string()),
                expected: None,
                reason: None,
                judged: false,
            };
            cell.attempts[0].capabilities = found.iter().map(capability).collect();
            cell
        };
        fixture::run(vec![
            cell(Arch::X86_64, "5.10", 22, &[("execve", "kprobe")]),
            cell(Arch::X86_64, "5.10", 19, &[("execve", "kprobe")]),
            cell(Arch::X86_64, "6.12", 22, &[("execve", "fentry (sleepable)"), ("fds", "task_storage")]),
            cell(Arch::X86_64, "6.12", 19, &[("execve", "kprobe"), ("fds", "task_storage")]),
            cell(Arch::Riscv64, "6.12", 22, &[("execve", "trace\x1b[2Jpoint|")]),
            cell(Arch::Riscv64, "7.2", 22, &[]),
        ])
    }

    #[test]
    fn a_kernel_has_a_line_and_a_capability_a_column() {
        let support = Support::of(&run());
        insta::assert_snapshot!(format!("{}{}", support.to_text(Style::default()), support.to_markdown()));
    }

    /// Check that scripts find each value with the LLVM releases that found it.
    #[test]
    fn scripts_get_the_same() {
        let json = serde_json::to_value(Support::of(&run())).unwrap();
        assert_eq!(
            json["x86_64"][1]["capabilities"]["execve"],
            serde_json::json!([{"value": "fentry (sleepable)", "llvm": [22]}, {"value": "kprobe", "llvm": [19]}])
        );
        assert!(Support::of(&fixture::one_cell()).is_empty());
    }
}
