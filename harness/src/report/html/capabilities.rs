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
    /// What was found, in the words of the test that tried it.
    pub value: String,
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
                        cell(&here.map(|tried| (tried.llvm, tried.value.as_str())).collect::<Vec<_>>(), html);
                    }
                });
                html.line();
            }
        });
    });
}

/// What the kernel's cells found; where they differ, each with its LLVM release.
fn cell(found: &[(u32, &str)], html: &mut Html) {
    let Some((_, first)) = found.first() else {
        html.leaf("td", &[("class", "void")], "no record");
        return;
    };
    if found.iter().all(|(_, value)| value == first) {
        html.leaf("td", &[], first);
    } else {
        let each: Vec<_> = found.iter().map(|(llvm, value)| format!("{value} (LLVM {llvm})")).collect();
        html.leaf("td", &[], &each.join(", "));
    }
}
