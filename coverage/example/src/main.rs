//! Runs the BPF program once with each number of the command line. With `BPF_COVERAGE_DIR=DIR`, the coverage is in DIR then.

use bpf_coverage_example::Probe;

#[expect(clippy::print_stdout, reason = "the example's output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let probe = Probe::load(false)?;
    for value in std::env::args().skip(1) {
        probe.run(value.parse()?)?;
    }
    println!("total {}", probe.total());
    Ok(())
}
