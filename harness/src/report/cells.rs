//! Names many cells in few words: [`Cells`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::matrix::Arch;
use crate::report::text;
use crate::run::outcome::CellOutcome;

/// Columns of the kernels' names between two braces.
const BRACES: usize = 60;

/// A cell: its architecture, its kernel's name, its LLVM release.
pub(crate) type Place<'a> = (Arch, &'a str, u32);

/// The place of a cell that ran.
pub(crate) fn place(cell: &CellOutcome) -> Place<'_> {
    (cell.arch, &cell.kernel.name, cell.llvm)
}

/// The cells that a run or a plan has, to say "all".
#[derive(Debug)]
pub(crate) struct Cells<'a> {
    cells: usize,
    arches: BTreeMap<Arch, OfArch<'a>>,
}

#[derive(Debug, Default)]
struct OfArch<'a> {
    cells: usize,
    /// The kernels in the order in which they first came.
    places: HashMap<&'a str, usize>,
    kernels: Vec<&'a str>,
    llvms: BTreeSet<u32>,
}

impl<'a> Cells<'a> {
    pub(crate) fn of(places: impl IntoIterator<Item = Place<'a>>) -> Self {
        let mut arches: BTreeMap<Arch, OfArch<'a>> = BTreeMap::new();
        let mut cells = 0;
        for (arch, name, llvm) in places {
            cells += 1;
            let of = arches.entry(arch).or_default();
            of.cells += 1;
            of.llvms.insert(llvm);
            if !of.places.contains_key(name) {
                of.places.insert(name, of.kernels.len());
                of.kernels.push(name);
            }
        }
        Self { cells, arches }
    }

    /// The names of the cells `hit`, as a shell would write them: `x86_64/{6.1,6.12}/llvm{21,22}`, with `*` for all that the
    /// run or plan has. After `most` kernels the rest is counted.
    pub(crate) fn list(&self, hit: &[Place<'_>], most: usize) -> Vec<String> {
        if hit.len() > 1 && hit.len() == self.cells {
            return vec![format!("all {} cells", hit.len())];
        }
        let (mut items, mut room, mut shown) = (vec![], most, 0);
        for (arch, of) in &self.arches {
            let hit: Vec<Place<'_>> = hit.iter().copied().filter(|(hit, ..)| hit == arch).collect();
            if hit.len() > 1 && hit.len() == of.cells {
                items.push(format!("all of {arch}"));
                shown += hit.len();
                continue;
            }
            for (llvms, places) in of.groups(&hit) {
                let end = of.end(&llvms);
                if places.len() > 1 && places.len() == of.kernels.len() {
                    items.push(format!("{arch}/*/{end}"));
                    shown += places.len() * llvms.len();
                    continue;
                }
                let names = &places[..places.len().min(room)];
                room -= names.len();
                shown += names.len() * llvms.len();
                let names: Vec<String> = names.iter().map(|place| text::one_line(of.kernels[*place])).collect();
                items.extend(braces(&names).into_iter().map(|kernels| format!("{arch}/{kernels}/{end}")));
            }
        }
        if hit.len() > shown {
            items.push(format!("and {} more", hit.len() - shown));
        }
        items
    }
}

impl OfArch<'_> {
    /// The kernels that were hit with the same LLVM releases, by their places.
    fn groups(&self, hit: &[Place<'_>]) -> Vec<(BTreeSet<u32>, Vec<usize>)> {
        let mut kernels: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
        for (_, kernel, llvm) in hit {
            let place = self.places.get(kernel).copied().unwrap_or_default();
            kernels.entry(place).or_default().insert(*llvm);
        }
        let mut groups: Vec<(BTreeSet<u32>, Vec<usize>)> = vec![];
        for (place, llvms) in kernels {
            match groups.iter_mut().find(|(known, _)| *known == llvms) {
                Some((_, places)) => places.push(place),
                None => groups.push((llvms, vec![place])),
            }
        }
        groups
    }

    /// `llvm22`, `llvm{21,22}`, or `*` for several that are all.
    fn end(&self, llvms: &BTreeSet<u32>) -> String {
        let names: Vec<String> = llvms.iter().map(ToString::to_string).collect();
        match names.as_slice() {
            [name] => format!("llvm{name}"),
            _ if *llvms == self.llvms => "*".into(),
            names => format!("llvm{{{}}}", names.join(",")),
        }
    }
}

/// `6.1`, `{6.1,6.12}`, or several of them when they would be too wide.
fn braces(names: &[String]) -> Vec<String> {
    let mut lists: Vec<Vec<&str>> = vec![];
    let mut used = 0;
    for name in names {
        used += text::width(name) + 1;
        match lists.last_mut() {
            Some(list) if used <= BRACES => list.push(name),
            _ => {
                used = text::width(name) + 1;
                lists.push(vec![name]);
            }
        }
    }
    let show =
        |list: Vec<&str>| if let [name] = list[..] { name.to_owned() } else { format!("{{{}}}", list.join(",")) };
    lists.into_iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    /// The names of the cells of `fixture::weekly` that `wanted` picks: 3 architectures × 11 kernels × 4 LLVM releases.
    fn names(wanted: impl Fn(Arch, &str, u32) -> bool) -> String {
        let run = fixture::weekly();
        let places = || run.cells.iter().map(place);
        let hit: Vec<_> = places().filter(|(arch, kernel, llvm)| wanted(*arch, kernel, *llvm)).collect();
        Cells::of(places()).list(&hit, 12).join(" ")
    }

    #[test]
    fn cells_are_named_as_a_shell_would() {
        let x86 = |arch| arch == Arch::X86_64;
        assert_eq!(names(|_, _, _| true), "all 132 cells");
        assert_eq!(names(|arch, _, _| !x86(arch)), "all of aarch64 all of riscv64");
        assert_eq!(names(|arch, kernel, llvm| x86(arch) && kernel == "rc" && llvm == 19), "x86_64/rc/llvm19");
        assert_eq!(names(|arch, kernel, _| x86(arch) && kernel == "rc"), "x86_64/rc/*");
        assert_eq!(names(|arch, _, llvm| x86(arch) && llvm > 21), "x86_64/*/llvm{22,23}");
        assert_eq!(
            names(
                |arch, kernel, llvm| x86(arch) && (kernel == "6.1" || kernel == "6.12" && llvm > 19 || kernel == "rc")
            ),
            "x86_64/{6.1,rc}/* x86_64/6.12/llvm{21,22,23}"
        );
        assert_eq!(
            names(|_, kernel, _| kernel.starts_with('6')),
            "x86_64/{6.1,6.12,6.16,6.17,6.18,6.19}/* aarch64/{6.1,6.12,6.16,6.17,6.18,6.19}/* and 24 more"
        );
        assert_eq!(names(|_, _, _| false), "");
    }

    #[test]
    fn a_list_in_braces_is_not_too_wide() {
        let names: Vec<String> = (0..20).map(|number| format!("kernel-{number:02}")).collect();
        let lists = braces(&names);
        assert!(lists.len() > 2 && lists.iter().all(|list| text::width(list) <= BRACES + 2), "{lists:?}");
        let all: String = lists.join(",").replace(['{', '}'], "");
        assert_eq!(all, names.join(","));
    }
}
