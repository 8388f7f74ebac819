//! What each kernel can do, as it was tried in the guest: a table per architecture, capability × kernel.

use super::Context;
use super::parts::{self, table};
use super::writer::Html;
use crate::matrix::Arch;

/// Whether one kernel has one capability.
#[derive(Clone, Debug)]
pub struct Capability {
    /// The kernel's architecture.
    pub arch: Arch,
    /// The kernel's name in the matrix.
    pub kernel: String,
    /// The LLVM release whose test executables tried it.
    pub llvm: u32,
    /// What it is, for example `fentry`.
    pub name: String,
    /// Whether the kernel has it.
    pub support: Support,
    /// What the kernel said, or why nobody knows.
    pub reason: Option<String>,
}

/// Whether a kernel has a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Support {
    /// It was tried, and works.
    Yes,
    /// It could not be tried.
    Unknown,
    /// It was tried, and does not work.
    No,
}

impl Support {
    fn text(self) -> &'static str {
        match self {
            Self::Yes => "✓ yes",
            Self::Unknown => "? unknown",
            Self::No => "✗ no",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Yes => "all",
            Self::Unknown => "unknown",
            Self::No => "never",
        }
    }
}

pub(super) fn write(context: &Context<'_>, html: &mut Html) {
    let absent = "The run did not ask the kernels what they can do.";
    let Some(tried) = parts::part(html, context.page.capabilities, absent) else { return };
    for arch in Arch::ALL {
        let of_arch: Vec<_> = tried.iter().filter(|capability| capability.arch == arch).collect();
        if !of_arch.is_empty() {
            write_arch(arch, &of_arch, html);
        }
    }
    reasons(tried, html);
}

fn write_arch(arch: Arch, tried: &[&Capability], html: &mut Html) {
    let (mut names, mut kernels): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for capability in tried {
        if !names.contains(&capability.name.as_str()) {
            names.push(&capability.name);
        }
        if !kernels.contains(&capability.kernel.as_str()) {
            kernels.push(&capability.kernel);
        }
    }
    table(html, &format!("capabilities-{arch}"), "cells", &format!("{arch}: capability × kernel"), |html| {
        parts::heads(html, ["Capability"].into_iter().chain(kernels.iter().copied()));
        html.element("tbody", &[], |html| {
            for name in names {
                html.element("tr", &[], |html| {
                    html.leaf("th", &[("scope", "row")], name);
                    for kernel in &kernels {
                        let here = tried.iter().filter(|tried| tried.name == name && tried.kernel == *kernel);
                        cell(&here.map(|tried| tried.support).collect::<Vec<_>>(), html);
                    }
                });
                html.line();
            }
        });
    });
}

/// What the kernel's cells found; where they differ, the worst and how many found it.
fn cell(found: &[Support], html: &mut Html) {
    let Some(worst) = found.iter().copied().max() else {
        html.leaf("td", &[("class", "void")], "no record");
        return;
    };
    let count = found.iter().filter(|support| **support == worst).count();
    let small = if count == found.len() { String::new() } else { format!("{count}/{}", found.len()) };
    parts::verdict_cell(html, &[("class", worst.class())], worst.text(), None, &small);
}

/// What was said about each capability that is not there.
fn reasons(tried: &[Capability], html: &mut Html) {
    let told = |capability: &&Capability| capability.support != Support::Yes && capability.reason.is_some();
    let told: Vec<_> = tried.iter().filter(told).collect();
    if told.is_empty() {
        return;
    }
    html.element("details", &[], |html| {
        html.leaf("summary", &[], "What the kernels said");
        table(html, "capabilities-reasons", "plain", "Capabilities that are not there, or not known", |html| {
            parts::heads(html, ["Cell", "Capability", "Has it", "Reason"]);
            html.element("tbody", &[], |html| {
                for Capability { arch, kernel, llvm, name, support, reason } in told {
                    html.element("tr", &[], |html| {
                        html.leaf("th", &[("scope", "row")], &format!("{arch}/{kernel}/llvm{llvm}"));
                        html.leaf("td", &[], name).leaf("td", &[], support.text());
                        html.leaf("td", &[], reason.as_deref().unwrap_or("–"));
                    });
                    html.line();
                }
            });
        });
    });
}
