//! Puts the logs of a shard into the merged run: [`adopt_logs`].

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::matrix::Shard;

/// Below a run's `coverage`, what that is read with.
const OBJECTS: &str = "objects";

/// A log could not be put into the merged run.
#[derive(Debug, Error)]
#[error("cannot put the log `{}` into the merged run: {source}", path.display())]
pub struct AdoptError {
    path: PathBuf,
    source: io::Error,
}

/// Puts the logs below `from`, the directory of the run of `shard`, into the directory `into`: those of cells and VMs at the
/// same paths, so that the record finds them; what the shard's machine printed besides below `shard<index>`. What coverage is read
/// with stays in the directory of its bundle, below `shard<index>` there when another shard has compiled something else of that name. A
/// file is linked where both are on one disk, and else copied. What is neither a file nor a directory is left out.
///
/// # Errors
/// When one cannot be read or written, or is there already.
pub fn adopt_logs(from: &Path, shard: Shard, into: &Path) -> Result<(), AdoptError> {
    let own = into.join(format!("shard{}", shard.index));
    for (name, path, is_directory) in list(from)? {
        match name.as_str() {
            "cells" if is_directory => adopt_tree(&path, &into.join("cells"), &adopt_file)?,
            // The rest of it are reports of this shard alone.
            "coverage" if path.join(OBJECTS).is_dir() => {
                let adopt = |from: &Path, to: &Path| adopt_object(from, to, shard);
                adopt_tree(&path.join(OBJECTS), &into.join(name).join(OBJECTS), &adopt)?;
            }
            name if is_directory && name.starts_with("resumed") => adopt_tree(&path, &own.join(name), &adopt_file)?,
            name if !is_directory && name.ends_with(".log") => {
                make(&own)?;
                adopt_file(&path, &own.join(name))?;
            }
            // The reports are made anew.
            _ => {}
        }
    }
    Ok(())
}

fn adopt_tree(
    from: &Path,
    to: &Path,
    adopt: &impl Fn(&Path, &Path) -> Result<(), AdoptError>,
) -> Result<(), AdoptError> {
    make(to)?;
    for (name, path, is_directory) in list(from)? {
        let place = to.join(name);
        if is_directory { adopt_tree(&path, &place, adopt)? } else { adopt(&path, &place)? }
    }
    Ok(())
}

fn adopt_file(from: &Path, to: &Path) -> Result<(), AdoptError> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Another disk, or one without links.
        Err(_) => fs::copy(from, to).map(drop),
    }
    .map_err(at(to))
}

/// Puts what is needed to read coverage at `to`, or beside it where another shard has put something else.
fn adopt_object(from: &Path, to: &Path, shard: Shard) -> Result<(), AdoptError> {
    if !to.exists() {
        return adopt_file(from, to);
    }
    if is_same(from, to).map_err(at(from))? {
        return Ok(());
    }
    let own = to.with_file_name(format!("shard{}", shard.index));
    make(&own)?;
    adopt_file(from, &own.join(to.file_name().unwrap_or_default()))
}

/// Whether two files have the same content.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    if one.get_ref().metadata()?.len() != other.get_ref().metadata()?.len() {
        return Ok(false);
    }
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let length = left.len().min(right.len());
        if length == 0 || left[..length] != right[..length] {
            return Ok(left.is_empty() && right.is_empty());
        }
        one.consume(length);
        other.consume(length);
    }
}

fn make(directory: &Path) -> Result<(), AdoptError> {
    fs::create_dir_all(directory).map_err(at(directory))
}

/// The files and directories in a directory: name, path, and whether it is a directory.
fn list(directory: &Path) -> Result<Vec<(String, PathBuf, bool)>, AdoptError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let entry = entry.map_err(at(directory))?;
        let kind = entry.file_type().map_err(at(&entry.path()))?;
        if kind.is_dir() || kind.is_file() {
            found.push((entry.file_name().to_string_lossy().into_owned(), entry.path(), kind.is_dir()));
        }
    }
    Ok(found)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> AdoptError {
    let path = path.to_owned();
    move |source| AdoptError { path, source }
}
