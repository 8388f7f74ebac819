//! Tests of the specification.

use super::*;

const GOOD: &str = "\
project: {directory: .., package: tracer, test_timeout: 90s}
archive: {kernels: [one, two], tools: one, sysroot: zero}
arches:
  x86_64: {boot_timeout: 60s, memory_mib: 768}
kernels:
  - {name: \"6.1\", series: \"6.1\"}
  - {name: rc, series: rc, flavor: rt}
llvm:
  - {version: 22}
  - {version: 23, suite: two}
exclude:
  - {kernel: rc, llvm: 22, reason: too new}
include:
  - {kernel: rc, arch: x86_64, llvm: 22, reason: curious}
sets:
  pr: {kernels: [\"6.*\"], llvm: [newest, 22]}
  full: {}
";

#[track_caller]
fn refused(from: &str, to: &str, expected: &str) {
    assert!(GOOD.contains(from), "`{from}` is not in the text that the test changes");
    let error = MatrixSpec::parse(Path::new("m.yaml"), &GOOD.replacen(from, to, 1)).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_good_matrix_is_taken_with_its_defaults() {
    let spec = MatrixSpec::parse(Path::new("m.yaml"), GOOD).unwrap();
    let flavors = |row: usize| Arch::ALL.map(|arch| spec.kernels[row].series().unwrap().flavor_on(arch));
    assert_eq!(flavors(0), ["cloud", "cloud", "generic"]);
    assert_eq!(flavors(1), ["rt", "rt", "rt"], "a flavor that is named is not replaced");
    assert_eq!((spec.guest(Arch::X86_64).memory_mib, spec.guest(Arch::Riscv64).memory_mib), (768, 256));
    assert_eq!(spec.project.tests, Tests::Ignored);
    assert_eq!(spec.llvm_versions(), [23, 22]);
    assert_eq!((spec.llvm_suite(22), spec.llvm_suite(23)), ("one", "two"));
}

#[test]
fn a_mistake_is_named_with_its_line_and_what_was_expected() {
    refused(
        "flavor: rt",
        "flavour: rt",
        "m.yaml:7: kernels[1]: unknown field `flavour`, expected one of `name`, `series`, `flavor`, `path`, `url`, `sha256`, `source`, `arches`\n  hint: did you mean `flavor`?",
    );
    refused(
        "  x86_64: {",
        "  x86-64: {",
        "m.yaml:4: arches: unknown variant `x86-64`, expected one of `x86_64`, `aarch64`, `riscv64`\n  hint: did you mean `x86_64`?",
    );
    refused(
        "series: \"6.1\"",
        "series: six",
        "m.yaml:6: kernels[0]: series `six` is neither `major.minor`, like `6.12`, nor `rc`",
    );
    refused("name: rc,", "name: \"6.1\",", "m.yaml:7: kernels: name `6.1` stands twice; expected a name for each row");
    refused(
        "name: rc,",
        "name: ../rc,",
        "m.yaml:7: kernels: name `../rc` cannot name a directory; expected letters, digits, and . - _ +",
    );
    refused("version: 23", "version: 22", "m.yaml:10: llvm: version `22` stands twice");
    refused("version: 23", "version: 3", "m.yaml:10: llvm: version `3` is out of range: must be between 14 and 99");
    refused(
        "{kernel: rc,",
        "{kernel: \"6.2\",",
        "m.yaml:12: exclude: unknown kernel `6.2` (known: 6.1, rc)\n  hint: did you mean `6.1`?",
    );
    refused("llvm: 22,", "llvm: 21,", "m.yaml:12: exclude: unknown llvm `21` (known: 23, 22)");
    refused(
        "reason: too new",
        "reason: ''",
        "m.yaml:11: exclude: `reason` is empty; expected why these cells cannot work",
    );
    refused("test_timeout: 90s", "test_timeout: 0s", "m.yaml:1: `test_timeout` is `0s`; expected at least 1s");
    refused(
        "  - {name: \"6.1\", series: \"6.1\"}\n  - {name: rc, series: rc, flavor: rt}\n",
        "  []\n",
        "m.yaml:5: `kernels` is empty, so the matrix has 0 cells; expected at least one entry",
    );
}

#[test]
fn a_mistake_in_a_rule_or_a_set_is_named_with_its_line() {
    refused(
        "reason: curious",
        "reason: ' '",
        "m.yaml:13: include: `reason` is empty; expected why these cells run all the same",
    );
    refused(", reason: curious", "", "m.yaml:14: include[0]: missing field `reason`");
    refused(
        "arch: x86_64,",
        "arch: riscv64,",
        "m.yaml:14: include: arch `riscv64` is not among `arches` (known: x86_64)",
    );
    refused(
        "[\"6.*\"]",
        "[\"6.2*\"]",
        "m.yaml:16: sets.pr: unknown kernel `6.2*` (known: 6.1, rc)\n  hint: did you mean `6.1`?",
    );
    refused("[\"6.*\"]", "[\"6.[\"]", "m.yaml:16: sets.pr: `6.[` is not a glob: unclosed character class; missing ']'");
    refused(
        "kernels: [\"6.*\"]",
        "kernels: []",
        "m.yaml:16: sets.pr: `kernels` is empty, so the set has 0 cells; without the key it has all",
    );
    refused(
        "kernels: [\"6.*\"]",
        "arches: [aarch64]",
        "m.yaml:16: sets.pr: arch `aarch64` is not among `arches` (known: x86_64)",
    );
    refused("[newest, 22]", "[21]", "m.yaml:16: sets.pr: unknown llvm `21` (known: 23, 22)");
    refused(
        "[newest, 22]",
        "[latest]",
        "m.yaml:16: sets.pr.llvm[0]: `latest` is neither an LLVM release, nor `newest`, nor `oldest`",
    );
    refused("[newest, 22]", "newest", "m.yaml:16: sets.pr.llvm: invalid type: string \"newest\", expected a sequence");
    refused(
        "full: {}",
        "full: all",
        "m.yaml:17: sets.full: invalid type: string \"all\", expected a set like `{kernels: [\"6.12\"]}`, or `{}` for everything",
    );
    refused(
        "full: {}",
        "full: {kernel: [rc]}",
        "m.yaml:17: sets.full: unknown field `kernel`, expected one of `kernels`, `arches`, `llvm`\n  hint: did you mean `kernels`?",
    );
}

/// The origin of a row with these keys, or why it is refused.
fn origin(keys: &str) -> Result<KernelOrigin, String> {
    let text = GOOD.replacen("series: rc, flavor: rt", keys, 1);
    let spec = MatrixSpec::parse(Path::new("m.yaml"), &text).map_err(|error| error.to_string())?;
    Ok(spec.kernels[1].origin.clone())
}

#[test]
fn a_kernel_comes_from_exactly_one_place() {
    let hash = "AB".repeat(32);
    let url = |url: &str| UrlSpec { url: url.into(), sha256: "ab".repeat(32) };
    let path = PathSpec { image: "out/bzImage".into(), config: None, modules: Some("m/6.1".into()), release: None };
    assert_eq!(origin("path: {image: out/bzImage, modules: m/6.1}"), Ok(KernelOrigin::Path(path)));
    assert_eq!(
        origin(&format!("url: 'https://h/k.deb', sha256: {hash}")),
        Ok(KernelOrigin::Url(url("https://h/k.deb")))
    );
    let built = |source| {
        Ok(KernelOrigin::Source(SourceSpec { source, config: "tinyconfig".into(), fragments: vec!["a.config".into()] }))
    };
    let source = |keys: &str| origin(&format!("source: {{{keys}, config: tinyconfig, fragments: [a.config]}}"));
    assert_eq!(source("tree: ../linux"), built(SourceOrigin::Tree("../linux".into())));
    assert_eq!(source("tarball: linux.tar.xz"), built(SourceOrigin::Tarball("linux.tar.xz".into())));
    assert_eq!(
        source(&format!("url: 'http://h/l.tar.gz', sha256: {hash}")),
        built(SourceOrigin::Url(url("http://h/l.tar.gz")))
    );

    let one = "expected one of `series`, `path`, `url`, `source`, found";
    for (keys, expected) in [
        ("arches: [x86_64]", format!("kernel `rc`: {one} none")),
        ("series: rc, path: {image: i}", format!("kernel `rc`: {one} several")),
        ("path: {image: i}, flavor: rt", "kernel `rc`: `flavor` belongs to a `series` of the archive".into()),
        ("series: rc, sha256: 12", "kernel `rc`: `sha256` belongs to a `url`".into()),
        ("url: 'https://h/k'", "kernel `rc`: no `sha256` beside `url: https://h/k`; expected that of".into()),
        ("url: 'https://h/k', sha256: 12", "kernel `rc`: sha256 is `12`; expected 64 hexadecimal digits".into()),
        ("url: 'file:///k', sha256: 12", "kernel `rc`: url is `file:///k`; expected an address that begins".into()),
        ("path: {modules: m}", "missing field `image`".into()),
        ("path: {image: i, imagine: i}", "unknown field `imagine`".into()),
        ("source: {config: defconfig}", "expected one of `tarball`, `tree`, `url`, found none".into()),
        ("source: {tree: t}", "missing field `config`".into()),
    ] {
        let error = origin(keys).unwrap_err();
        assert!(error.starts_with("m.yaml:") && error.contains(&expected), "{keys}: {error}");
    }
}
