//! What a reboot would bring: kernel images, microcode, and the distribution's own flag.

use super::input;
use super::state::Store;
use crate::model::reboot::{amd_revision, intel_revision, signature, Facts, Image, Place, Revisions, Running};
use crate::model::text::escape;
use anyhow::Result;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Firmware files are some 100 KB; one of all processors together a few MB.
const MOST_FIRMWARE: u64 = 16 << 20;
const MOST_SMALL: u64 = 1 << 20;
/// An image below this is no kernel.
const LEAST_IMAGE: u64 = 500_000;
/// Where distributions and package managers leave word that a reboot is wanted: Debian and Ubuntu
/// (update-notifier), and SUSE (zypp).
const FLAGS: [&str; 2] = ["run/reboot-required", "run/reboot-needed"];
/// What our own unit wrote, so that it is not taken for somebody else's word.
pub const OWN_FLAG: &str = "run/reexec/reboot-required";

/// Looks at all of it, below the root of the system and the `/proc` that were named.
pub fn facts(root: &Path, proc: &Path) -> Facts {
    let processor = processor(proc);
    let place = match (container(root, proc), is_guest(proc, &processor)) {
        (Some(kind), _) => Place::Container(kind),
        (None, true) => Place::Guest,
        (None, false) => Place::Machine,
    };
    Facts {
        place,
        running: running(proc),
        images: images(root),
        revisions: revisions(root, &processor),
        flag: flag(root),
        systemd: systemd_version(root),
    }
}

fn small(path: &Path) -> Option<String> {
    input::file(path, MOST_SMALL).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn running(proc: &Path) -> Running {
    let line = |name: &str| small(&proc.join("sys/kernel").join(name)).unwrap_or_default().trim().to_owned();
    Running { release: line("osrelease"), version: line("version") }
}

/// The kind of container that the system runs in, as its manager or runtime has left word.
fn container(root: &Path, proc: &Path) -> Option<String> {
    let named = small(&root.join("run/systemd/container")).map(|text| text.trim().to_owned());
    let own = root == Path::new("/");
    let environment = if own { fs::read(proc.join("1/environ")).unwrap_or_default() } else { Vec::new() };
    let variable = environment.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(b"container=").map(escape));
    let marks = [("run/.containerenv", "podman"), (".dockerenv", "docker")];
    let marked = || marks.iter().find(|(file, _)| root.join(file).exists()).map(|(_, kind)| (*kind).to_owned());
    named.or(variable).or_else(marked).filter(|kind| !kind.is_empty())
}

/// Whether a hypervisor runs below us: the processor's own flag (CPUID leaf 1 ECX bit 31). Xen's first
/// domain is the machine itself.
fn is_guest(proc: &Path, processor: &Processor) -> bool {
    let first_domain = small(&proc.join("xen/capabilities")).is_some_and(|text| text.contains("control_d"));
    processor.get("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")) && !first_domain
}

/// What is said of a processor, by field.
type Processor = HashMap<String, String>;

/// The fields of the first processor in `/proc/cpuinfo`; of hundreds of others, each of which the kernel asks, nothing
/// is read.
fn processor(proc: &Path) -> Processor {
    let Ok(file) = input::open(&proc.join("cpuinfo")) else { return Processor::new() };
    let lines = BufReader::with_capacity(4 << 10, file.take(MOST_SMALL)).split(b'\n').map_while(Result::ok);
    let field = |line: Vec<u8>| {
        let line = String::from_utf8_lossy(&line);
        line.split_once(':').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
    };
    lines.take_while(|line| !line.is_empty()).filter_map(field).collect()
}

/// All kernels that could be booted, by the file's header, else by its name.
fn images(root: &Path) -> Vec<Image> {
    let mut files: Vec<PathBuf> = entries(&root.join("boot"))
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let kernel = ["vmlinuz", "vmlinux", "kernel", "Image"].iter().any(|start| name.starts_with(start));
            (kernel || name.ends_with(".img")) && !name.starts_with("init") && !name.contains("rescue")
        })
        .collect();
    for modules in ["usr/lib/modules", "lib/modules"] {
        files.extend(entries(&root.join(modules)).into_iter().map(|folder| folder.join("vmlinuz")));
    }
    files.iter().filter_map(|file| image(file)).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn image(path: &Path) -> Option<Image> {
    let found = fs::metadata(path).ok()?;
    if !found.is_file() || found.len() < LEAST_IMAGE {
        return None;
    }
    if let Some(banner) = File::open(path).ok().and_then(|file| header(&file)) {
        let release = banner.split(' ').next()?.to_owned();
        return Some(Image { release, banner: Some(banner) });
    }
    let name = path.file_name()?.to_string_lossy().into_owned();
    let by_name = name.split_once('-').map(|(_, release)| release.trim_end_matches(".img").to_owned());
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let release = by_name.or(folder).filter(|release| is_release(release))?;
    Some(Image { release, banner: None })
}

fn is_release(text: &str) -> bool {
    let mut parts = text.split('.');
    let number = |part: Option<&str>| part.is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()));
    number(parts.next()) && number(parts.next())
}

/// What the header of an x86 image says of itself: release, builder and version
/// (`Documentation/arch/x86/boot.rst`, `kernel_version`).
fn header(file: &File) -> Option<String> {
    const MAGIC_AT: u64 = 0x202;
    const POINTER_AT: u64 = 0x20e;
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, MAGIC_AT).ok()?;
    let mut pointer = [0; 2];
    file.read_exact_at(&mut pointer, POINTER_AT).ok()?;
    if &magic != b"HdrS" || pointer == [0, 0] {
        return None;
    }
    let mut text = [0; 256];
    let read = file.read_at(&mut text, 0x200 + u64::from(u16::from_le_bytes(pointer))).ok()?;
    let line = text[..read].split(|&byte| byte == 0).next()?;
    let banner = String::from_utf8_lossy(line).into_owned();
    is_release(&banner).then_some(banner)
}

fn revisions(root: &Path, processor: &Processor) -> Revisions {
    let field = |name: &str| processor.get(name).map(String::as_str).unwrap_or_default();
    let hexadecimal = |text: &str| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok();
    let numbers = ["cpu family", "model", "stepping"].map(|name| field(name).parse::<u32>().ok());
    let [Some(family), Some(model), Some(stepping)] = numbers else {
        return Revisions::None("not an x86 processor".to_owned());
    };
    let Some(current) = hexadecimal(field("microcode")) else {
        return Revisions::Unknown("/proc/cpuinfo names no microcode".to_owned());
    };
    let signature = signature(family, model, stepping);
    let flags = small(&root.join("sys/devices/system/cpu/cpu0/microcode/processor_flags"));
    let firmware = root.join("lib/firmware");
    let files: Vec<PathBuf> = match field("vendor_id") {
        "GenuineIntel" => vec![firmware.join(format!("intel-ucode/{family:02x}-{model:02x}-{stepping:02x}"))],
        "AuthenticAMD" | "HygonGenuine" => entries(&firmware.join("amd-ucode")),
        other => return Revisions::None(format!("no known files for {}", escape(other.as_bytes()))),
    };
    // As needrestart and the makers' own tools write them.
    let digits = if field("vendor_id") == "GenuineIntel" { 4 } else { 8 };
    let packed = |file: &PathBuf| {
        let packed = |ending: &str| PathBuf::from(format!("{}.{ending}", file.display())).exists();
        file.extension().is_some_and(|ending| ending == "xz" || ending == "zst")
            || ["xz", "zst"].into_iter().any(packed)
    };
    let available =
        files.iter().filter_map(|file| input::file(file, MOST_FIRMWARE).ok()).filter_map(|bytes| {
            match field("vendor_id") {
                "GenuineIntel" => intel_revision(&bytes, signature, flags.as_deref().and_then(hexadecimal)),
                _ => amd_revision(&bytes, signature),
            }
        });
    match available.max() {
        None if files.iter().any(packed) => Revisions::Unknown("the firmware files are compressed".to_owned()),
        available => Revisions::Known { current, available, digits },
    }
}

/// The distribution's flag and the packages that asked for it, unless it is only our own.
fn flag(root: &Path) -> Option<(String, Vec<String>)> {
    let path = FLAGS.iter().find(|path| root.join(path).exists())?;
    let text = small(&root.join(format!("{path}.pkgs"))).unwrap_or_default();
    let own = small(&root.join(OWN_FLAG));
    let ours: Vec<&str> = own.as_deref().unwrap_or_default().lines().collect();
    let mut names: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !ours.contains(line))
        .map(|line| escape(line.as_bytes()))
        .collect();
    names.sort();
    names.dedup();
    let only_ours = own.is_some() && names.is_empty();
    (!only_ours).then(|| (format!("/{path}"), names))
}

/// The flag in Debian's words (update-notifier's `notify-reboot-required`).
const FLAG_TEXT: &[u8] = b"*** System restart required ***\n";

/// Flags a reboot for others, unless somebody else has done so.
pub fn raise_flag(root: &Path, packages: &[String], store: &Store) -> Result<()> {
    let [flag, names, own] = flag_files(root);
    if flag.exists() && !own.exists() {
        return Ok(());
    }
    let ours: String = packages.iter().map(|name| format!("{name}\n")).collect();
    let others = others(&names, &own);
    // What is ours is written down first: a run that is killed leaves nobody else's word behind.
    store.publish(&own, ours.as_bytes())?;
    store.publish(&names, format!("{others}{ours}").as_bytes())?;
    store.publish(&flag, FLAG_TEXT)
}

/// Takes back what we flagged; what others added stays.
pub fn take_back_flag(root: &Path, store: &Store) -> Result<()> {
    let [flag, names, own] = flag_files(root);
    if !own.exists() {
        return Ok(());
    }
    let others = others(&names, &own);
    match others.is_empty() {
        true => store.clear(&[flag, names])?,
        false => store.publish(&names, others.as_bytes())?,
    }
    store.clear(&[own])
}

fn flag_files(root: &Path) -> [PathBuf; 3] {
    [root.join(FLAGS[0]), root.join(format!("{}.pkgs", FLAGS[0])), root.join(OWN_FLAG)]
}

/// The lines of the list that are not ours.
fn others(names: &Path, own: &Path) -> String {
    let ours = small(own).unwrap_or_default();
    let text = small(names).unwrap_or_default();
    text.lines().filter(|line| !ours.lines().any(|own| own == *line)).map(|line| format!("{line}\n")).collect()
}

/// The version of the systemd that is installed, by the name of the library that every tool of it uses.
fn systemd_version(root: &Path) -> Option<u32> {
    if !root.join("run/systemd/system").is_dir() {
        return None;
    }
    let folders = [
        "usr/lib/systemd",
        "lib/systemd",
        "usr/lib/x86_64-linux-gnu/systemd",
        "usr/lib/aarch64-linux-gnu/systemd",
        "usr/lib64/systemd",
    ];
    folders.iter().flat_map(|folder| entries(&root.join(folder))).find_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let version = name.strip_prefix("libsystemd-shared-")?;
        version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    })
}
