//! What this machine allows, found by trying: [`run`].

use std::process::ExitCode;

use serde_json::{Value, json};

use super::print;
use crate::ebpf::Doctor;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{BackendChoice, Launch, Options, Target};
use crate::trace::{Backend, Trace};

/// A way of seeing execs, and what came of trying it.
struct Tried {
    name: &'static str,
    outcome: Result<Backend>,
}

/// Tries the backends one after another and prints what came of it; the status is 1 if none works.
pub(super) fn run(json: bool) -> Result<ExitCode> {
    let tried = [
        attempt("ebpf", BackendChoice::Ebpf, Target::System),
        attempt("seccomp", BackendChoice::Seccomp, a_command()),
        attempt("ptrace", BackendChoice::Ptrace, a_command()),
    ];
    let works = tried.iter().any(|tried| tried.outcome.is_ok());
    let ebpf = crate::ebpf::doctor();
    let text = if json {
        format!("{:#}\n", report(&tried, &ebpf)?)
    } else {
        tried.iter().map(line).collect::<String>() + &ebpf.to_string()
    };
    print(|out| out.write_all(text.as_bytes()))?;
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn a_command() -> Target {
    Target::Command(Launch { program: "true".into(), args: Vec::new(), cwd: None, user: None })
}

fn attempt(name: &'static str, backend: BackendChoice, target: Target) -> Tried {
    let trace = Trace::start(target, Options { backend, ..Options::default() });
    let outcome = trace
        .and_then(|mut trace| {
            if backend != BackendChoice::Ebpf {
                trace.by_ref().for_each(drop);
            }
            trace.finish()
        })
        .map(|summary| summary.backend);
    Tried { name, outcome }
}

fn line(tried: &Tried) -> String {
    match &tried.outcome {
        Ok(Backend { tier, degraded, .. }) => {
            let tier = tier.as_ref().map(|tier| format!(", {tier}")).unwrap_or_default();
            let degraded = degraded.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default();
            format!("{:<8} works{tier}{degraded}\n", tried.name)
        }
        Err(err) => {
            let hint = err.hint().map(|hint| format!("\n{:<8} hint: {hint}", "")).unwrap_or_default();
            format!("{:<8} does not: {err}{hint}\n", tried.name)
        }
    }
}

fn report(tried: &[Tried], ebpf: &Doctor) -> Result<Value> {
    let backends = tried.iter().map(|Tried { name, outcome }| {
        let backend = outcome.as_ref().ok();
        let error = outcome.as_ref().err();
        let report = json!({
            "works": backend.is_some(),
            "tier": backend.and_then(|backend| backend.tier.as_deref()),
            "degraded": backend.and_then(|backend| backend.degraded.as_deref()),
            "error": error.map(ToString::to_string),
            "hint": error.and_then(|err| err.hint()),
        });
        ((*name).to_owned(), report)
    });
    let ebpf = serde_json::to_value(ebpf).map_err(|err| Error::new(ErrorKind::Bug, err.to_string()))?;
    let backends: serde_json::Map<_, _> = backends.collect();
    Ok(json!({ "schema": 1, "tracer": env!("CARGO_PKG_VERSION"), "backends": backends, "ebpf": ebpf }))
}
