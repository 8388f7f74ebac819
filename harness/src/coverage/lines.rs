//! Lines × cells: [`LineTable`], which is also the contents of `lines.json`.

use std::collections::{BTreeMap, BTreeSet};

use bpf_coverage::export::lcov::Report;
use serde::Serialize;

/// Which lines of the BPF sources ran in which cells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineTable {
    /// 1.
    pub schema: u32,
    /// In the order of their paths.
    pub files: Vec<FileLines>,
    /// What is not known.
    pub no_data: Vec<NoData>,
}

/// One source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileLines {
    /// As git has it.
    pub path: String,
    /// The lines that have code, in order.
    pub lines: Vec<Line>,
    /// The functions, in the order of their lines.
    pub functions: Vec<Function>,
    /// The cells that know of the file.
    #[serde(skip)]
    pub cells: BTreeSet<String>,
}

/// A line with code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Counted from 1.
    pub line: u32,
    /// How often it ran, in all cells; where only single bytes were counted, in how many loads of the object.
    pub count: u64,
    /// Where it ran.
    pub cells: BTreeSet<String>,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Function {
    /// As the source has it.
    pub name: String,
    /// The line on which it begins.
    pub line: u32,
    /// How often it was entered, in all cells.
    pub count: u64,
    /// Where it was entered.
    pub cells: BTreeSet<String>,
}

/// An object of which a test left no line counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NoData {
    /// `arch/kernel/llvmN`.
    pub cell: String,
    /// The test.
    pub test: String,
    /// The object's name.
    pub object: String,
    /// Why; the verifier's words when it refused the instrumented object.
    pub reason: String,
    /// What is known instead: `run_counts` or `none`; `damaged` when the files say nothing.
    pub mode: String,
}

impl LineTable {
    /// The table of the cells' reports.
    #[must_use]
    pub fn new(reports: &[(String, Report)], mut no_data: Vec<NoData>) -> Self {
        let mut files: BTreeMap<String, FileParts> = BTreeMap::new();
        for (cell, report) in reports {
            for (key, section) in &report.sections {
                let file = files.entry(key.source_file.display().to_string()).or_default();
                file.cells.insert(cell.clone());
                for (key, value) in &section.lines {
                    file.lines.entry(key.line).or_default().add(value.count, cell);
                }
                for (key, value) in &section.functions {
                    let (line, hits) = file.functions.entry(source_name(&key.name).to_owned()).or_default();
                    *line = value.start_line.unwrap_or(*line);
                    hits.add(value.count, cell);
                }
            }
        }
        no_data.sort();
        no_data.dedup();
        Self { schema: 1, files: files.into_iter().map(|(path, file)| file.finish(path)).collect(), no_data }
    }
}

/// What a file's part of the table is made in.
#[derive(Default)]
struct FileParts {
    lines: BTreeMap<u32, Hits>,
    functions: BTreeMap<String, (u32, Hits)>,
    cells: BTreeSet<String>,
}

#[derive(Default)]
struct Hits {
    count: u64,
    cells: BTreeSet<String>,
}

impl Hits {
    fn add(&mut self, count: u64, cell: &str) {
        self.count = self.count.saturating_add(count);
        if count > 0 {
            self.cells.insert(cell.to_owned());
        }
    }
}

impl FileParts {
    fn finish(self, path: String) -> FileLines {
        let line = |(line, Hits { count, cells })| Line { line, count, cells };
        let function = |(name, (line, Hits { count, cells }))| Function { name, line, count, cells };
        let mut functions: Vec<Function> = self.functions.into_iter().map(function).collect();
        functions.sort_by(|a, b| (a.line, &a.name).cmp(&(b.line, &b.name)));
        FileLines { path, lines: self.lines.into_iter().map(line).collect(), functions, cells: self.cells }
    }
}

/// LLVM's name of a function without what it adds: a static one has its file in front. libbpf's macros that unpack a
/// program's arguments name the function with its body `____<program>`.
fn source_name(name: &str) -> &str {
    let name = name.rsplit_once([':', ';']).map_or(name, |(_, name)| name);
    name.strip_prefix("____").unwrap_or(name)
}

impl FileLines {
    /// The lines of a function: up to the next one.
    pub fn lines_of<'a>(&'a self, function: &Function) -> impl Iterator<Item = &'a Line> {
        let from = function.line;
        let next = self.functions.iter().map(|function| function.line).filter(|line| *line > from).min();
        self.lines.iter().filter(move |line| line.line >= from && next.is_none_or(|next| line.line < next))
    }
}

#[cfg(test)]
mod tests {
    use bpf_coverage::export::lcov::Reader;

    use super::*;

    fn report(text: &str) -> Report {
        Report::from_reader(Reader::new(text.as_bytes())).unwrap()
    }

    fn table() -> LineTable {
        let old = "SF:a.bpf.c\nFN:2,a.bpf.c:____go\nFNDA:1,a.bpf.c:____go\nFN:9,help\nFNDA:0,help\nDA:2,1\nDA:3,0\nDA:9,0\nend_of_record\n";
        let new = "SF:a.bpf.c\nFN:2,a.bpf.c:____go\nFNDA:2,a.bpf.c:____go\nFN:9,help\nFNDA:5,help\nDA:2,2\nDA:3,0\nDA:9,5\nend_of_record\n";
        let reports = [("x86_64/5.10/llvm22".to_owned(), report(old)), ("x86_64/7.2/llvm22".to_owned(), report(new))];
        LineTable::new(&reports, Vec::new())
    }

    /// Check the JSON that pages and scripts read, key by key.
    #[test]
    fn json() {
        let both = serde_json::json!(["x86_64/5.10/llvm22", "x86_64/7.2/llvm22"]);
        let expected = serde_json::json!({
            "schema": 1,
            "files": [{
                "path": "a.bpf.c",
                "lines": [
                    {"line": 2, "count": 3, "cells": both},
                    {"line": 3, "count": 0, "cells": []},
                    {"line": 9, "count": 5, "cells": ["x86_64/7.2/llvm22"]},
                ],
                "functions": [
                    {"name": "go", "line": 2, "count": 3, "cells": both},
                    {"name": "help", "line": 9, "count": 5, "cells": ["x86_64/7.2/llvm22"]},
                ],
            }],
            "no_data": [],
        });
        assert_eq!(serde_json::to_value(table()).unwrap(), expected);
    }

    /// Check that a function's lines end where the next one begins.
    #[test]
    fn lines_of_functions() {
        let table = table();
        let file = &table.files[0];
        let lines = |index: usize| file.lines_of(&file.functions[index]).map(|line| line.line).collect::<Vec<_>>();
        assert_eq!((lines(0), lines(1)), (vec![2, 3], vec![9]));
    }
}
