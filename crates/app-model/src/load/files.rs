//! Bounded reading below one directory: never outside of it, never a device, never without an end.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::problems::Problems;

/// Bounds of one load. Whatever exceeds one is reported and not read.
#[derive(Debug, Clone)]
pub struct LoadBounds {
    /// Size of one file. Default 16 MiB.
    pub file_bytes_max: u64,
    /// Size of all files read. Default 256 MiB.
    pub total_bytes_max: u64,
    /// Directory entries looked at. Default 100 000.
    pub entries_max: usize,
    /// Directories below each other. Default 32.
    pub depth_max: usize,
    /// Problems kept. Default 10 000.
    pub problems_max: usize,
}

impl Default for LoadBounds {
    fn default() -> Self {
        const MEBIBYTE: u64 = 1024 * 1024;
        Self {
            file_bytes_max: 16 * MEBIBYTE,
            total_bytes_max: 256 * MEBIBYTE,
            entries_max: 100_000,
            depth_max: 32,
            problems_max: 10_000,
        }
    }
}

/// What a directory entry is, after symbolic links inside of the app directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// One entry of a directory.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub name: String,
    pub kind: Kind,
}

/// What became of reading a file.
#[derive(Debug)]
pub(super) enum Text {
    Absent,
    /// Exists but could not be read; already reported.
    Unreadable,
    Read(String),
}

/// The app directory. Paths are relative to it, with `/` separators; the directory itself is `""`.
pub(super) struct Files {
    /// Without symbolic links.
    root: PathBuf,
    bounds: LoadBounds,
    /// Every directory is listed once, so that what is wrong with an entry is reported once.
    listings: HashMap<String, Vec<Entry>>,
    entries_seen: usize,
    bytes_read: u64,
    entries_exceeded: bool,
}

impl Files {
    pub fn open(directory: &Path, bounds: LoadBounds) -> io::Result<Self> {
        let root = directory.canonicalize()?;
        // Fails for a file and for a directory without permission.
        fs::read_dir(&root)?;
        Ok(Self { root, bounds, listings: HashMap::new(), entries_seen: 0, bytes_read: 0, entries_exceeded: false })
    }

    /// Entries in name order; nothing for an absent directory.
    pub fn list(&mut self, directory: &str, problems: &mut Problems) -> Vec<Entry> {
        if !directory.is_empty() && self.kind(directory, problems) != Some(Kind::Directory) {
            return Vec::new();
        }
        if let Some(listing) = self.listings.get(directory) {
            return listing.clone();
        }
        let listing = self.read_listing(directory, problems);
        self.listings.insert(directory.to_owned(), listing.clone());
        listing
    }

    pub fn kind(&mut self, path: &str, problems: &mut Problems) -> Option<Kind> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !self.listings.contains_key(parent) {
            self.list(parent, problems);
        }
        let listing = self.listings.get(parent)?;
        listing.iter().find(|entry| entry.name == name).map(|entry| entry.kind)
    }

    pub fn is_file(&mut self, path: &str, problems: &mut Problems) -> bool {
        self.kind(path, problems) == Some(Kind::File)
    }

    pub fn is_directory(&mut self, path: &str, problems: &mut Problems) -> bool {
        self.kind(path, problems) == Some(Kind::Directory)
    }

    /// Text of a file without its byte order mark.
    pub fn read(&mut self, path: &str, problems: &mut Problems) -> Text {
        match self.kind(path, problems) {
            None => return Text::Absent,
            Some(Kind::Directory) => {
                problems.error(path, "", "is a directory where a file belongs: replace it by a file");
                return Text::Unreadable;
            }
            Some(Kind::File) => {}
        }
        match self.read_bytes(path) {
            Err(message) => {
                problems.error(path, "", message);
                Text::Unreadable
            }
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Text::Read(match text.strip_prefix('\u{feff}') {
                    Some(rest) => rest.to_owned(),
                    None => text,
                }),
                Err(error) => {
                    let valid = error.utf8_error().valid_up_to();
                    let line = 1 + error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
                    problems.error(
                        path,
                        "",
                        format!("is not UTF-8 text, from byte {valid} (line {line}) on: save it as UTF-8"),
                    );
                    Text::Unreadable
                }
            },
        }
    }

    fn read_bytes(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let cannot = |error: io::Error| format!("cannot be read ({error}): check the file and its permissions");
        let file = fs::File::open(self.root.join(path)).map_err(cannot)?;
        let most = self.bounds.file_bytes_max;
        let mut bytes = Vec::new();
        // The size on disk may be a lie (a file that grows, a special file system), so the reader is bounded.
        file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(cannot)?;
        let length = bytes.len() as u64;
        if length > most {
            return Err(format!("is larger than {most} bytes and was not read: make it smaller or raise the bound"));
        }
        self.bytes_read = self.bytes_read.saturating_add(length);
        if self.bytes_read > self.bounds.total_bytes_max {
            let total = self.bounds.total_bytes_max;
            return Err(format!(
                "was not read, because the files before it have used up the {total} bytes of one app: make the app smaller or raise the bound"
            ));
        }
        Ok(bytes)
    }

    fn read_listing(&mut self, directory: &str, problems: &mut Problems) -> Vec<Entry> {
        let depth = if directory.is_empty() { 0 } else { 1 + directory.matches('/').count() };
        if depth > self.bounds.depth_max {
            problems.error(
                directory,
                "",
                format!("lies more than {} directories deep and was not read: move it up", self.bounds.depth_max),
            );
            return Vec::new();
        }
        let reader = match fs::read_dir(self.root.join(directory)) {
            Ok(reader) => reader,
            Err(error) => {
                problems.error(directory, "", format!("cannot be listed ({error}): check its permissions"));
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for entry in reader {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    problems.error(directory, "", format!("cannot be listed to its end ({error}): check the disk"));
                    break;
                }
            };
            self.entries_seen += 1;
            if self.entries_seen > self.bounds.entries_max {
                if !self.entries_exceeded {
                    self.entries_exceeded = true;
                    problems.error(directory, "", format!("is read only in part, because the app has more than {} files and directories: remove what does not belong to it", self.bounds.entries_max));
                }
                break;
            }
            let Ok(name) = entry.file_name().into_string() else {
                let shown = join(directory, &entry.file_name().to_string_lossy());
                problems.warning(&shown, "", "has a name that is not UTF-8 and was not read: rename it");
                continue;
            };
            if let Some(kind) = self.kind_of(&entry, &join(directory, &name), problems) {
                entries.push(Entry { name, kind });
            }
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        entries
    }

    fn kind_of(&self, entry: &fs::DirEntry, path: &str, problems: &mut Problems) -> Option<Kind> {
        let unreadable = |problems: &mut Problems, error: io::Error| {
            problems.warning(
                path,
                "",
                format!("cannot be looked at ({error}) and was not read: check its permissions"),
            );
            None
        };
        let mut kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => return unreadable(problems, error),
        };
        if kind.is_symlink() {
            let target = match entry.path().canonicalize() {
                Ok(target) => target,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    problems.warning(path, "", "is a symbolic link to nothing: remove it");
                    return None;
                }
                Err(error) => return unreadable(problems, error),
            };
            if !target.starts_with(&self.root) {
                problems.warning(
                    path,
                    "",
                    "is a symbolic link that leads out of the app directory and was not followed: replace it by a copy",
                );
                return None;
            }
            if entry.path().starts_with(&target) {
                problems.warning(
                    path,
                    "",
                    "is a symbolic link to a directory that contains it and was not followed: remove it",
                );
                return None;
            }
            kind = match fs::metadata(&target) {
                Ok(metadata) => metadata.file_type(),
                Err(error) => return unreadable(problems, error),
            };
        }
        if kind.is_dir() {
            Some(Kind::Directory)
        } else if kind.is_file() {
            Some(Kind::File)
        } else {
            problems.warning(path, "", "is neither a file nor a directory and was not read: remove it");
            None
        }
    }
}

/// `directory/name`, where the app directory itself is `""`.
pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
