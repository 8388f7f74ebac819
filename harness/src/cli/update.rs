//! `ukci update`: pins the newest kernel of every series.

use std::io::Write;
use std::sync::Arc;

use super::args::UpdateArgs;
use super::failure::Failure;
use super::screen::Screen;
use super::workshop::Workshop;
use crate::archive::Progress;
use crate::matrix::{Arch, KernelLock, KernelSpec, PinnedKernel};
use crate::provision::in_background;
use crate::provision::kernel::{KernelError, Offer};

pub(super) async fn update(args: UpdateArgs) -> Result<u8, Failure> {
    let Workshop { project, archive, screen } = Workshop::open(args.matrix.as_deref(), Screen::new(false))?;
    let (lock, changes) = in_background({
        let (archive, project) = (Arc::clone(&archive), project.clone());
        move || -> Result<_, Failure> {
            let suites = &project.spec.archive.kernels;
            let mut lock = KernelLock::empty();
            for &arch in project.spec.arches.keys() {
                let offer = Offer::refresh(&archive, suites, arch)?;
                for row in project.spec.kernels.iter().filter(|row| row.is_wanted_on(&project.spec, arch)) {
                    let Some(wanted) = row.series() else { continue };
                    let old = project.lock.get(arch, &row.name);
                    match offer.newest(&row.name, wanted) {
                        // Never back to an older one because the suite that has the newer cannot be read today.
                        _ if old.is_some_and(|old| offer.lacks(&old.suite)) => keep(&mut lock, arch, row, old),
                        Ok(pinned) => lock.insert(arch, &row.name, pinned),
                        // Between two releases there is no candidate: what is pinned may still be in the archive.
                        Err(error @ KernelError::NotOffered { .. }) => {
                            screen.warn(&error.to_string());
                            keep(&mut lock, arch, row, old);
                        }
                        Err(error) => return Err(Failure::Broken(error.to_string())),
                    }
                }
            }
            let changes = lock.changes_since(&project.lock);
            Ok((lock, changes))
        }
    })
    .await?;
    if !args.dry_run && !changes.is_empty() {
        crate::report::replace_file(&project.lock_path, |file| file.write_all(lock.to_text().as_bytes()))
            .map_err(|error| Failure::Broken(format!("cannot write `{}`: {error}", project.lock_path.display())))?;
    }
    let verb = if args.dry_run { "would move" } else { "moved" };
    let summary = match changes.len() {
        0 => "every kernel is the newest of its series\n".to_owned(),
        count => format!("{}\n{count} {verb}\n", changes.join("\n")),
    };
    super::print(&summary)?;
    Ok(0)
}

fn keep(lock: &mut KernelLock, arch: Arch, row: &KernelSpec, pinned: Option<&PinnedKernel>) {
    if let Some(pinned) = pinned {
        lock.insert(arch, &row.name, pinned.clone());
    }
}
