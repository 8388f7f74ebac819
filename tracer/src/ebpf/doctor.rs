//! What eBPF can do on this machine, found by trying: [`doctor`].

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::probe::{Attempt, Refusal};
use super::programs::Programs;
use super::setup::Setup;
use super::tier::Tier;
use crate::options::{Collect, Filter};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Doctor {
    /// As `uname -r` has it.
    pub kernel: String,
    /// The architecture.
    pub arch: &'static str,
    /// The kernel shows BTF of itself.
    pub btf: bool,
    /// The kernel's lockdown mode, if it has one.
    pub lockdown: Option<String>,
    /// `net.core.bpf_jit_enable`, if it can be read: 0 is the interpreter.
    pub jit: Option<String>,
    /// The capabilities that this process may use, as in /proc/self/status.
    pub capabilities: Option<String>,
    /// Each hook of a system call; empty if nothing works.
    pub hooks: Vec<HookReport>,
    /// The programs that were loaded, with the instructions that the verifier went through: 0 where the kernel does not
    /// say (before 5.16).
    pub programs: BTreeMap<String, u32>,
    /// Why nothing works, if nothing does.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// One hook.
#[derive(Clone, Debug, Serialize)]
pub struct HookReport {
    /// The system call, and the ABI that it comes by.
    pub name: &'static str,
    /// The function of the kernel that it is attached to.
    pub function: Option<&'static str>,
    /// What was tried, in order, with the kernel's answers.
    pub attempts: Vec<Attempt>,
    /// What it has got.
    pub tier: Option<Tier>,
    /// Why, in words.
    pub why: String,
}

/// Loads and attaches everything, and takes it off again.
pub fn doctor() -> Doctor {
    let setup = Setup {
        system_wide: false,
        collect: Collect::default(),
        filter: Filter::default(),
        ring_bytes: 0,
        max_processes: 1,
        best: Tier::FentrySleepable,
    };
    let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let mut doctor = Doctor {
        kernel: read("/proc/sys/kernel/osrelease").unwrap_or_default(),
        arch: std::env::consts::ARCH,
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        lockdown: read("/sys/kernel/security/lockdown").map(|modes| chosen(&modes)),
        jit: read("/proc/sys/net/core/bpf_jit_enable"),
        capabilities: read("/proc/self/status")
            .and_then(|status| Some(status.lines().find_map(|line| line.strip_prefix("CapEff:"))?.trim().to_owned())),
        hooks: Vec::new(),
        programs: BTreeMap::new(),
        error: None,
        hint: None,
    };
    match Programs::start(&setup) {
        Ok(programs) => {
            doctor.programs = programs.verified().into_iter().collect();
            doctor.hooks = programs
                .hooks
                .iter()
                .map(|hook| HookReport {
                    name: hook.name,
                    function: hook.function,
                    attempts: hook.attempts.clone(),
                    tier: hook.tier,
                    why: why(&hook.attempts, hook.tier),
                })
                .collect();
        }
        Err(err) => {
            doctor.error = Some(err.to_string());
            doctor.hint = err.hint().map(str::to_owned);
        }
    }
    doctor
}

impl Doctor {
    /// One short string for each thing that a kernel can do or not: for a comparison with what is expected of it.
    pub fn capabilities(&self) -> BTreeMap<String, String> {
        let works = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let hook = |hook: &HookReport| (hook.name.to_owned(), hook.tier.map_or("absent", Tier::name).to_owned());
        let mut all: BTreeMap<String, String> = self.hooks.iter().map(hook).collect();
        let common = ["exec success", "fork", "exit"].map(|name| {
            let tier = if self.error.is_none() { "tp_btf".to_owned() } else { "absent: see error".to_owned() };
            (name.to_owned(), tier)
        });
        all.extend(common);
        all.insert("btf".to_owned(), works(self.btf));
        let sleeps = self.hooks.iter().any(|hook| hook.tier == Some(Tier::FentrySleepable));
        all.insert("sleepable reads".to_owned(), works(sleeps));
        all.insert("ring buffer".to_owned(), works(self.error.is_none()));
        if let Some(error) = &self.error {
            all.insert("error".to_owned(), error.clone());
        }
        all
    }
}

impl fmt::Display for Doctor {
    /// A line for the kernel, one for each hook, and one for what was refused before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
        writeln!(f, "kernel   {} {}", self.kernel, self.arch)?;
        writeln!(f, "         BTF {}", if self.btf { "yes" } else { "no" })?;
        writeln!(f, "         lockdown {}, bpf_jit_enable {}", known(&self.lockdown), known(&self.jit))?;
        writeln!(f, "         effective capabilities {}", known(&self.capabilities))?;
        for hook in &self.hooks {
            let tier = hook.tier.map_or("absent", Tier::name);
            let function = hook.function.map(|function| format!("  {function}")).unwrap_or_default();
            writeln!(f, "hook     {:<18} {tier:<18}{function}", hook.name)?;
            for Attempt { tier, refused } in &hook.attempts {
                if let Some(Refusal { doing, words, .. }) = refused {
                    writeln!(f, "           not {}: {doing}: {words}", tier.name())?;
                }
            }
        }
        for (program, instructions) in self.programs.iter().filter(|(_, instructions)| **instructions > 0) {
            writeln!(f, "program  {program:<18} {instructions} instructions verified")?;
        }
        if let Some(error) = &self.error {
            writeln!(f, "error    {error}")?;
        }
        Ok(())
    }
}

/// The word in brackets.
fn chosen(modes: &str) -> String {
    modes.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or(modes, |(mode, _)| mode).to_owned()
}

fn why(attempts: &[Attempt], tier: Option<Tier>) -> String {
    let refused: Vec<String> = attempts
        .iter()
        .filter_map(|Attempt { tier, refused }| {
            let Refusal { doing, words, .. } = refused.as_ref()?;
            Some(format!("{}: {doing}: {words}", tier.name()))
        })
        .collect();
    match (tier, refused.is_empty()) {
        (Some(Tier::Tracepoint), true) => "the programs that execve has got serve all calls".to_owned(),
        (Some(_), true) => "the best there is".to_owned(),
        (None, true) => "the kernel has no such function".to_owned(),
        (_, false) => refused.join("; "),
    }
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
