//! The keys of lines that a blessing writes: kernels' names, or cells as in `x86_64/{5.10,6.12}/llvm{19,21}`.

const SPECIAL: &[char] = &['*', '?', '[', ']', '{', '}', ',', '/'];

/// Whether a blessing may have written this key.
pub(super) fn is_written(key: &str) -> bool {
    key.split_whitespace().all(|term| match cells(term) {
        Some((arch, kernel, llvm)) => {
            let llvm = llvm.strip_prefix("llvm").map_or(llvm == "*", |number| names(number).is_some());
            (arch == "*" || names(arch).is_some()) && names(kernel).is_some() && llvm
        }
        None => !term.contains(SPECIAL),
    })
}

/// The kernels of such a key.
pub(super) fn kernels(key: &str) -> Vec<&str> {
    let of_term = |term| match cells(term) {
        Some((_, kernel, _)) => names(kernel).unwrap_or_default(),
        None => vec![term],
    };
    key.split_whitespace().flat_map(of_term).collect()
}

/// A glob of some cells. An architecture or LLVM that is `*` stands for all.
pub(super) fn of_cells(arches: &[String], kernels: &[String], llvm: &[String]) -> String {
    let llvm = match llvm {
        [all] if all == "*" => all.clone(),
        some => {
            let numbers: Vec<String> = some.iter().map(|llvm| llvm.trim_start_matches("llvm").to_owned()).collect();
            format!("llvm{}", set(&numbers))
        }
    };
    format!("{}/{}/{llvm}", set(arches), set(kernels))
}

fn set(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        several => format!("{{{}}}", several.join(",")),
    }
}

/// The three parts of a glob of cells.
fn cells(term: &str) -> Option<(&str, &str, &str)> {
    let (arch, rest) = term.split_once('/')?;
    let (kernel, llvm) = rest.split_once('/').unwrap_or((rest, ""));
    Some((arch, kernel, llvm))
}

/// What a name, or names in braces, stand for; `None` for another glob.
fn names(text: &str) -> Option<Vec<&str>> {
    let names = match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(inner) => inner.split(',').collect(),
        None => vec![text],
    };
    names.iter().all(|name| !name.is_empty() && !name.contains(SPECIAL)).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that what a blessing writes is known again, and that a person's globs are not taken for it.
    #[test]
    fn written_keys_are_told_from_others() {
        for key in ["5.10 6.1", "x86_64/6.1/*", "*/{5.10,6.1}/llvm{19,21} a/b/llvm22", "{a,b}/c/*"] {
            assert!(is_written(key), "{key}");
        }
        for key in ["6.*", "riscv64/*", "riscv64/6.*/*", "*/*/llvm19", "a/b/llvm*", "a/b/21", "a/{b,}/*", "[56].1"] {
            assert!(!is_written(key), "{key}");
        }
        assert_eq!(kernels("5.10 6.1"), ["5.10", "6.1"]);
        assert_eq!(kernels("*/{5.10,6.1}/llvm{19,21} a/b/*"), ["5.10", "6.1", "b"]);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let key = of_cells(&names(&["a", "b"]), &names(&["5.10"]), &names(&["llvm19", "llvm21"]));
        assert_eq!(key, "{a,b}/5.10/llvm{19,21}");
        assert_eq!(of_cells(&names(&["*"]), &names(&["5.10", "6.1"]), &names(&["*"])), "*/{5.10,6.1}/*");
    }
}
