//! Comparing contents: build-id, else size and bytes; all of it bounded.

use super::files::{look_at, Root};
use crate::model::file::FileKind::Regular;
use crate::model::file::{FileFacts, FileId, Stamp};
use crate::model::replace::Role;
use crate::model::text::hexadecimal;
use crate::model::verdict::Content;
use md5::Digest as _;
use object::elf;
use object::read::elf::{Dyn, FileHeader, NoteIterator, ProgramHeader};
use object::{Endianness, FileKind};
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// More than any file that a package maps. A larger one is not compared byte by byte.
const MOST_COMPARED: u64 = 1 << 30;
/// Program headers, notes and dynamic entries are small; what says otherwise is no ELF file of ours.
const MOST_TABLE: u64 = 256 << 10;
const CHUNK: usize = 128 << 10;

/// Of all files together in one look: somebody may map a thousand large files that were replaced.
const MOST_COMPARED_IN_ALL: u64 = 8 << 30;
/// Pairs of files whose comparison is kept.
const MOST_KEPT: usize = 16_384;

/// An inode, and the moment of its last change: while these are the same its bytes are.
type Identity = (FileId, Option<Stamp>, Stamp);

/// The comparisons of one look: two inodes are compared once, in however many namespaces and by whatever
/// names they are met.
#[derive(Debug, Default)]
pub struct Comparisons {
    known: Mutex<HashMap<(Identity, Identity), Content>>,
    /// Bytes that were compared.
    compared: AtomicU64,
}

impl Comparisons {
    /// Whether two files have the same content. `old_build_id` is what the kernel said of the mapped
    /// file, for when the file itself may not be opened.
    pub fn compare(&self, old: Option<&File>, old_build_id: Option<Vec<u8>>, new: &File) -> Content {
        let old_id = old_build_id.or_else(|| build_id(old?));
        if let (Some(old_id), Some(new_id)) = (&old_id, build_id(new)) {
            return match *old_id == new_id {
                true => Content::Same,
                false => Content::Differs,
            };
        }
        old.and_then(|old| self.bytes(old, new)).unwrap_or(Content::Unknown)
    }

    fn bytes(&self, old: &File, new: &File) -> Option<Content> {
        let look = |file: &File| look_at(file.as_fd()).found().copied();
        let (a, b) = (look(old)?, look(new)?);
        if a.size != b.size {
            return Some(Content::Differs);
        }
        let identity = |facts: &FileFacts| (facts.id, facts.born, facts.changed);
        let pair = (identity(&a), identity(&b));
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&content) = known().get(&pair) {
            return Some(content);
        }
        // What is not read does not count against those that are.
        let room = |read: u64| read.checked_add(a.size).filter(|&all| all <= MOST_COMPARED_IN_ALL);
        if a.size > MOST_COMPARED || self.compared.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            return None;
        }
        let content = same_bytes(old, new, a.size)?;
        let mut known = known();
        if known.len() < MOST_KEPT {
            known.insert(pair, content);
        }
        Some(content)
    }
}

/// One comparison by itself.
pub fn compare(old: Option<&File>, old_build_id: Option<Vec<u8>>, new: &File) -> Content {
    Comparisons::default().compare(old, old_build_id, new)
}

fn same_bytes(old: &File, new: &File, size: u64) -> Option<Content> {
    let piece = |left: u64| left.min(CHUNK as u64) as usize;
    let (mut a, mut b) = (vec![0; piece(size)], vec![0; piece(size)]);
    let mut offset = 0;
    while offset < size {
        let want = piece(size - offset);
        old.read_exact_at(&mut a[..want], offset).ok()?;
        new.read_exact_at(&mut b[..want], offset).ok()?;
        if a[..want] != b[..want] {
            return Some(Content::Differs);
        }
        offset += want as u64;
    }
    Some(Content::Same)
}

/// Whether two files have the same bytes.
pub fn compare_bytes(a: &File, b: &File) -> bool {
    Comparisons::default().bytes(a, b) == Some(Content::Same)
}

/// What a file is for others, by its own word: an ELF file that names a dynamic loader is a program, another
/// one a library; a text that names its interpreter is a program.
pub fn role(file: &File) -> Role {
    let (head, has_loader) = (
        head_of_any(file),
        match FileKind::parse(head(file).as_slice()) {
            Ok(FileKind::Elf64) => Elf::<elf::FileHeader64<Endianness>>::open(file).is_some_and(|elf| elf.has_loader()),
            Ok(FileKind::Elf32) => Elf::<elf::FileHeader32<Endianness>>::open(file).is_some_and(|elf| elf.has_loader()),
            Ok(_) | Err(_) => false,
        },
    );
    match (head.starts_with(b"\x7fELF"), head.starts_with(b"#!")) {
        (true, false) if !has_loader => Role::Library,
        (true, _) | (_, true) => Role::Program,
        (false, false) => Role::Data,
    }
}

/// The first bytes, also of a file that has only some.
fn head_of_any(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    let read = file.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(read);
    bytes
}

/// The digest of a file as lower-case hexadecimal; `None` for an algorithm we do not know.
pub fn digest(file: &File, algorithm: &str) -> Option<String> {
    match algorithm {
        "md5" => digest_with(file, md5::Md5::new()),
        "sha256" => digest_with(file, sha2::Sha256::new()),
        "sha512" => digest_with(file, sha2::Sha512::new()),
        _ => None,
    }
}

fn digest_with<D: md5::Digest>(file: &File, mut digest: D) -> Option<String> {
    // Not cleared before: most files that are read are a small part of it.
    let mut buffer = Vec::with_capacity(CHUNK);
    let mut offset = 0;
    loop {
        buffer.clear();
        let read = rustix::io::pread(file, rustix::buffer::spare_capacity(&mut buffer), offset).ok()?;
        if read == 0 {
            return Some(hexadecimal(&digest.finalize()));
        }
        digest.update(&buffer);
        offset += read as u64;
        if offset > MOST_COMPARED {
            return None;
        }
    }
}

/// A text is not larger, and one that is is not read while a package manager waits.
const MOST_TEXT: u64 = 1 << 20;

/// SHA-256 of a file that may be a script: small, and no ELF file.
pub fn text_digest(root: &Root, path: &Path, facts: &FileFacts) -> Option<String> {
    if facts.kind != Regular || facts.size > MOST_TEXT {
        return None;
    }
    let file = root.open(path)?;
    let is_text = !head(&file).starts_with(b"\x7fELF");
    is_text.then(|| digest(&file, "sha256")).flatten()
}

/// Whether a path names an ELF file now.
pub fn is_elf(root: &Root, path: &Path) -> bool {
    root.open(path).is_some_and(|file| head(&file).starts_with(b"\x7fELF"))
}

/// A text, cut short.
pub fn text(root: &Root, path: &Path) -> Option<Vec<u8>> {
    let file = root.open(path)?;
    let mut bytes = vec![0; MOST_TEXT.min(file.metadata().ok()?.len()) as usize];
    let read = file.read_at(&mut bytes, 0).ok()?;
    bytes.truncate(read);
    Some(bytes)
}

/// The GNU build-id of an ELF file; `None` where it has none.
pub fn build_id(file: &File) -> Option<Vec<u8>> {
    build_id_at(file, 0)
}

/// The same of what a process maps from this address of its memory on. That is the process's own word, and
/// good only for who may not open the mapped file: it says of its own processes what they say.
pub fn build_id_at(memory: &File, start: u64) -> Option<Vec<u8>> {
    match FileKind::parse(piece(memory, start, 64)?.as_slice()).ok()? {
        FileKind::Elf64 => Elf::<elf::FileHeader64<Endianness>>::at(memory, start)?.build_id(),
        FileKind::Elf32 => Elf::<elf::FileHeader32<Endianness>>::at(memory, start)?.build_id(),
        _ => None,
    }
}

/// The name by which the dynamic loader looks for a library (DT_SONAME of the gABI).
pub fn soname(file: &File) -> Option<Vec<u8>> {
    match FileKind::parse(head(file).as_slice()).ok()? {
        FileKind::Elf64 => Elf::<elf::FileHeader64<Endianness>>::open(file)?.soname(),
        FileKind::Elf32 => Elf::<elf::FileHeader32<Endianness>>::open(file)?.soname(),
        _ => None,
    }
}

fn head(file: &File) -> Vec<u8> {
    piece(file, 0, 64).unwrap_or_default()
}

/// A bounded part of a file; a file lies about its sizes if it likes.
fn piece(file: &File, offset: u64, size: u64) -> Option<Vec<u8>> {
    if size > MOST_TABLE {
        return None;
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

struct Elf<'f, H: FileHeader> {
    file: &'f File,
    /// Where it begins.
    start: u64,
    endian: H::Endian,
    segments: Vec<H::ProgramHeader>,
}

impl<'f, H: FileHeader<Endian = Endianness>> Elf<'f, H> {
    fn open(file: &'f File) -> Option<Self> {
        Self::at(file, 0)
    }

    fn at(file: &'f File, start: u64) -> Option<Self> {
        let head = piece(file, start, 64)?;
        let header = H::parse(head.as_slice()).ok()?;
        let endian = header.endian().ok()?;
        let (offset, count) = (header.e_phoff(endian).into(), u64::from(header.e_phnum(endian)));
        let entry = size_of::<H::ProgramHeader>() as u64;
        if u64::from(header.e_phentsize(endian)) != entry {
            return None;
        }
        let table = piece(file, start.checked_add(offset)?, count * entry)?;
        let (segments, _) = object::pod::slice_from_bytes::<H::ProgramHeader>(&table, count as usize).ok()?;
        Some(Elf { file, start, endian, segments: segments.to_vec() })
    }

    fn segments(&self, kind: u32) -> impl Iterator<Item = &H::ProgramHeader> {
        self.segments.iter().filter(move |segment| segment.p_type(self.endian) == kind)
    }

    fn build_id(&self) -> Option<Vec<u8>> {
        self.segments(elf::PT_NOTE).find_map(|segment| {
            let offset = self.start.checked_add(segment.p_offset(self.endian).into())?;
            let data = piece(self.file, offset, segment.p_filesz(self.endian).into())?;
            let mut notes = NoteIterator::<H>::new(self.endian, segment.p_align(self.endian), &data).ok()?;
            while let Ok(Some(note)) = notes.next() {
                if note.name() == elf::ELF_NOTE_GNU && note.n_type(self.endian) == elf::NT_GNU_BUILD_ID {
                    return Some(note.desc().to_vec());
                }
            }
            None
        })
    }

    fn has_loader(&self) -> bool {
        self.segments(elf::PT_INTERP).next().is_some()
    }

    fn soname(&self) -> Option<Vec<u8>> {
        let segment = self.segments(elf::PT_DYNAMIC).next()?;
        let size: u64 = segment.p_filesz(self.endian).into();
        let table = piece(self.file, segment.p_offset(self.endian).into(), size)?;
        let count = table.len() / size_of::<H::Dyn>();
        let (entries, _) = object::pod::slice_from_bytes::<H::Dyn>(&table, count).ok()?;
        let value = |tag: u32| {
            entries
                .iter()
                .find(|entry| entry.d_tag(self.endian).into() == u64::from(tag))
                .map(|entry| entry.d_val(self.endian).into())
        };
        let at = self.offset_of(value(elf::DT_STRTAB)?)?.checked_add(value(elf::DT_SONAME)?)?;
        let mut name = vec![0; 256];
        let read = self.file.read_at(&mut name, at).ok()?;
        let end = name[..read].iter().position(|&byte| byte == 0)?;
        name.truncate(end);
        Some(name)
    }

    fn offset_of(&self, address: u64) -> Option<u64> {
        self.segments(elf::PT_LOAD).find_map(|segment| {
            let (start, size): (u64, u64) = (segment.p_vaddr(self.endian).into(), segment.p_filesz(self.endian).into());
            let inside = address.checked_sub(start).filter(|&inside| inside < size)?;
            inside.checked_add(segment.p_offset(self.endian).into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_says_its_build_id_from_the_memory_that_it_is_in() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let line = maps.lines().find(|line| line.contains(" 00000000 ") && line.contains("/libc")).expect("libc");
        let start = u64::from_str_radix(line.split('-').next().expect("start"), 16).expect("hexadecimal");
        let libc = File::open(line.split_whitespace().last().expect("path")).expect("open");
        let memory = File::open("/proc/self/mem").expect("memory");
        assert!(build_id(&libc).is_some());
        assert_eq!(build_id_at(&memory, start), build_id(&libc));
        assert_eq!(build_id_at(&memory, start + 4096), None, "no file begins there");
    }

    #[test]
    fn two_inodes_are_compared_once_and_again_when_one_of_them_changed() {
        let folder = std::env::temp_dir().join(format!("reexec-content-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        let write = |name: &str, byte: u8| std::fs::write(folder.join(name), vec![byte; 100_000]).expect("write");
        let open = |name: &str| File::open(folder.join(name)).expect("open");
        write("a", 1);
        write("b", 1);
        std::fs::hard_link(folder.join("a"), folder.join("a-too")).expect("link");
        let (all, read) = (Comparisons::default(), |all: &Comparisons| all.compared.load(Ordering::Relaxed));
        assert_eq!((all.compare(Some(&open("a")), None, &open("b")), read(&all)), (Content::Same, 100_000));
        assert_eq!((all.compare(Some(&open("a-too")), None, &open("b")), read(&all)), (Content::Same, 100_000));
        write("b", 2);
        assert_eq!((all.compare(Some(&open("a")), None, &open("b")), read(&all)), (Content::Differs, 200_000));
        all.compared.store(MOST_COMPARED_IN_ALL, Ordering::Relaxed);
        write("b", 1);
        assert_eq!(all.compare(Some(&open("a")), None, &open("b")), Content::Unknown, "enough was read");
        std::fs::remove_dir_all(&folder).expect("remove");
    }

    #[test]
    fn files_too_large_to_be_read_leave_room_for_the_others() {
        let folder = std::env::temp_dir().join(format!("reexec-content-large-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        let file = |name: &str, size: u64| {
            let options = File::options().read(true).write(true).create(true).truncate(true).clone();
            let file = options.open(folder.join(name)).expect("file");
            file.set_len(size).expect("size");
            file
        };
        let all = Comparisons::default();
        // Holes: they take no room on the disk, and none of them is read.
        let (old, new) = (file("a", 4 * MOST_COMPARED), file("b", 4 * MOST_COMPARED));
        for _ in 0..3 {
            assert_eq!(all.compare(Some(&old), None, &new), Content::Unknown);
        }
        all.compared.store(MOST_COMPARED_IN_ALL - 100_000, Ordering::Relaxed);
        let (old, new) = (file("a", 100_001), file("b", 100_001));
        assert_eq!(all.compare(Some(&old), None, &new), Content::Unknown, "more than may be read");
        let (old, new) = (file("a", 100_000), file("b", 100_000));
        assert_eq!(all.compare(Some(&old), None, &new), Content::Same, "just as much as may be read");
        std::fs::remove_dir_all(&folder).expect("remove");
    }
}
