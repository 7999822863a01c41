//! What an image FROM scratch must hold so that this executable runs in it: the executable itself
//! and, unless it is static, the shared libraries it is running with right now.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

/// Where the executable lies in the image.
pub const PROGRAM: &str = "/loom-tui";
/// Where members keep their data; owned by [`USER`], as is a named volume mounted there.
pub const DATA: &str = "/data";
/// Who members run as: nobody in particular, and not root.
pub const USER: u32 = 65532;

/// Libraries that glibc before 2.34 opens by name when it resolves names, beside those mapped.
const RESOLVERS: [&str; 3] = ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];

/// A root file system as an uncompressed tar, made of `program`, which must be what is running.
///
/// # Errors
///
/// When a file cannot be read.
pub fn pack(program: &Path) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    file(&mut tar, PROGRAM, &std::fs::read(program)?)?;
    let libraries = libraries(program)?;
    // Some engines make a folder that is only implied one that only root may enter.
    let folders: BTreeSet<&Path> = (libraries.iter())
        .flat_map(|(path, _)| path.ancestors().skip(1))
        .filter(|folder| folder.parent().is_some())
        .collect();
    for folder in folders {
        directory(&mut tar, &folder.to_string_lossy(), 0, 0o755)?;
    }
    for (path, source) in libraries {
        file(&mut tar, &path.to_string_lossy(), &std::fs::read(source)?)?;
    }
    directory(&mut tar, DATA, USER, 0o755)?;
    directory(&mut tar, "/tmp", 0, 0o1777)?;
    tar.into_inner()
}

/// Where each library must lie, and where it is read from. Empty for a static executable.
fn libraries(program: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let Some(loader) = loader(&std::fs::read(program)?) else {
        return Ok(Vec::new());
    };
    let mut found: BTreeSet<PathBuf> = mapped(&std::fs::read_to_string("/proc/self/maps")?);
    let beside: Vec<PathBuf> = found
        .iter()
        .flat_map(|it| it.parent())
        .map(Path::to_owned)
        .collect();
    let resolvers = beside
        .iter()
        .flat_map(|folder| RESOLVERS.iter().map(|name| folder.join(name)));
    found.extend(resolvers.filter(|path| path.exists()));
    let mut libraries: Vec<_> = found.into_iter().map(|path| (path.clone(), path)).collect();
    // The kernel looks for the loader where the executable says, which is often a link.
    libraries.push((loader.clone(), loader));
    libraries.sort();
    libraries.dedup_by(|one, other| one.0 == other.0);
    Ok(libraries)
}

/// The shared libraries in a text like `/proc/self/maps`.
fn mapped(maps: &str) -> BTreeSet<PathBuf> {
    let paths = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]))
        .filter(|path| {
            let name = path.rsplit('/').next().unwrap_or_default();
            name.ends_with(".so") || name.contains(".so.")
        });
    paths.map(PathBuf::from).collect()
}

/// The program interpreter an ELF executable of 64 bits names; `None` if it needs none.
fn loader(elf: &[u8]) -> Option<PathBuf> {
    const PT_INTERP: u32 = 3;
    let u16_at = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(elf.get(at..at + 8)?.try_into().ok()?));
    // 64 bits, little endian: what Docker's machines are.
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64_at(32)?).ok()?;
    let (size, count) = (usize::from(u16_at(54)?), usize::from(u16_at(56)?));
    let entries = (0..count).map(|index| table + index * size);
    for entry in entries {
        if u32_at(entry)? == PT_INTERP {
            let at = usize::try_from(u64_at(entry + 8)?).ok()?;
            let length = usize::try_from(u64_at(entry + 32)?).ok()?;
            let text = elf.get(at..at.checked_add(length)?)?;
            let text = text.strip_suffix(b"\0").unwrap_or(text);
            return Some(PathBuf::from(std::str::from_utf8(text).ok()?));
        }
    }
    None
}

fn file(tar: &mut Builder<Vec<u8>>, path: &str, content: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path.trim_start_matches('/'), content)
}

fn directory(tar: &mut Builder<Vec<u8>>, path: &str, owner: u32, mode: u32) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(mode);
    header.set_uid(owner.into());
    header.set_gid(owner.into());
    header.set_size(0);
    let path = format!("{}/", path.trim_start_matches('/'));
    tar.append_data(&mut header, path, io::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_off_the_map_of_a_process() {
        let maps = "\
55d0-55d1 r-xp 00000000 fe:00 12 /usr/bin/loom-tui
7f00-7f01 r-xp 00000000 fe:00 13 /usr/lib/x86_64-linux-gnu/libc.so.6
7f02-7f03 r--p 00000000 fe:00 13 /usr/lib/x86_64-linux-gnu/libc.so.6
7f04-7f05 r-xp 00000000 fe:00 14 /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
7f06-7f07 rw-p 00000000 00:00 0
7ffc-7ffd rw-p 00000000 00:00 0 [stack]";
        let found: Vec<_> = mapped(maps).into_iter().collect();
        let folder = Path::new("/usr/lib/x86_64-linux-gnu");
        let wanted = ["ld-linux-x86-64.so.2", "libc.so.6"].map(|name| folder.join(name));
        assert_eq!(found, wanted);
    }

    #[test]
    fn this_very_program_is_packed_with_what_it_needs() {
        let program = std::env::current_exe().unwrap();
        let packed = pack(&program).unwrap();
        let mut archive = tar::Archive::new(packed.as_slice());
        let mut names = BTreeSet::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            if path == Path::new("data/") {
                assert_eq!(entry.header().uid().unwrap(), u64::from(USER));
            }
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let told = folder == Path::new("") || names.contains(&folder.join(""));
            assert!(told, "{path:?} lies in a folder of unknown owner");
            assert!(names.insert(path.clone()), "{path:?} is there twice");
        }
        assert!(names.contains(Path::new("loom-tui")), "{names:?}");
        if let Some(loader) = loader(&std::fs::read(&program).unwrap()) {
            let loader = loader.strip_prefix("/").unwrap();
            assert!(names.contains(loader), "{loader:?} is missing: {names:?}");
        }
    }

    #[test]
    fn what_is_no_executable_names_no_loader() {
        for text in [&b""[..], b"#!/bin/sh", b"\x7fELF\x02\x01", &[0x7f; 70]] {
            assert_eq!(loader(text), None);
        }
    }
}
