//! Plugins that go wrong, each in its own way: the host gets one clear error line and goes on.
//!
//! The plugins are C sources in `bad-plugins/`, built with gcc into a folder that is root's alone.

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use reexec::model::claim::{Claim, Package};
use reexec::sys::plugin::{Answer, Busy, Ownership, Phase, Plugin, PluginError, Plugins, Question, TriggerInput};
use std::os::unix::fs::{chown, symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// More than any plugin needs here, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Set where this program's own process is copied for each plugin's, as that of `reexec` is while it has one thread.
const COPIED: &str = "REEXEC_TEST_COPIED";

/// A folder of plugins that is root's alone, removed in the end.
struct Folder(PathBuf);

impl Folder {
    /// `None`, with a line for the reader, without the rights to make one.
    fn new() -> Option<Folder> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Not below /tmp, which anybody can write to.
        let name = format!("/var/lib/reexec-test-{}-{number}", std::process::id());
        let folder = Folder(PathBuf::from(name));
        std::fs::create_dir(&folder.0).expect("make the folder");
        set_mode(&folder.0, 0o755);
        Some(folder)
    }

    /// Builds `bad-plugins/SOURCE.c` as the plugin of that name.
    fn build(&self, source: &str) -> PathBuf {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let library = self.file(source);
        let status = Command::new("gcc")
            .args(["-std=gnu11", "-D_GNU_SOURCE", "-O0", "-w", "-fPIC", "-shared", "-I"])
            .arg(here.join("../plugins/abi"))
            .arg("-o")
            .arg(&library)
            .arg(here.join("bad-plugins").join(format!("{source}.c")))
            .status()
            .expect("gcc is installed");
        assert!(status.success(), "gcc refuses {source}.c");
        set_mode(&library, 0o644);
        library
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("libreexec_{name}.so"))
    }

    fn plugins(&self) -> Plugins {
        let plugins = Plugins::new(vec![self.0.clone()]);
        match std::env::var_os(COPIED) {
            Some(_) => plugins.copied(),
            None => plugins.started_by(program().to_owned()),
        }
    }

    fn plugin(&self, name: &str) -> Plugin {
        self.build(name);
        self.plugins().find(name).expect("may be loaded")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

/// The `reexec` program, freshly built beside this test.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        cargo_build(&["-p", "reexec", "--bin", "reexec"]);
        built("reexec")
    })
}

fn cargo_build(what: &[&str]) {
    let release = !cfg!(debug_assertions);
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet"])
        .args(what)
        .args(release.then_some("--release"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "cargo build {what:?}");
}

/// A file in the folder of this build: `target/debug/NAME`.
fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    let folder = own.parent().and_then(Path::parent);
    folder.expect("target/debug/deps/plugins").join(name)
}

fn trigger(arguments: &[&str]) -> TriggerInput {
    TriggerInput {
        phase: Phase::Post,
        root: PathBuf::from("/"),
        arguments: arguments.iter().map(Into::into).collect(),
        input: b"input".to_vec(),
        since: Some(7),
    }
}

/// The error line without what changes from run to run.
fn line<T: std::fmt::Debug>(result: Result<T, PluginError>) -> String {
    let error = result.expect_err("an error");
    let text = error.to_string();
    assert!(!text.contains('\n'), "one line: {text}");
    let file = error.file().expect("names the file").display().to_string();
    text.replace(&format!("plugin {file}: "), "").replace(&file, "FILE")
}

fn root() -> &'static Path {
    Path::new("/")
}

fn is_gone(pid: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(5);
    while Path::new("/proc").join(pid).exists() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

#[test]
fn a_plugin_in_c_is_asked_everything() {
    let Some(folder) = Folder::new() else { return };
    let plugin = folder.plugin("echo");
    let reading = plugin.read(&trigger(&["/a", "/b\u{fc}"]), DEADLINE);
    let reading = reading.expect("reads");
    assert_eq!(reading.messages, ["phase 2, since 7, 5 bytes"]);
    let package = Package { name: "pkg".into(), old: Some("1".into()), new: None };
    assert_eq!(reading.packages, [package]);
    let file = |path: &str, package: Option<&str>| Claim::File { path: path.into(), package: package.map(Into::into) };
    assert_eq!(reading.claims, [file("/a", None), file("/b\u{fc}", Some("pkg")), Claim::Tree { prefix: "/".into() },]);
    let reading = plugin.expand(root(), &["p".into()], DEADLINE);
    assert_eq!(reading.expect("expands").claims, [file("/", Some("p"))]);

    let owner = |package: &str, digest: Option<(&str, &str)>| {
        Some(Ownership {
            package: package.into(),
            version: "2.0".into(),
            digest: digest.map(|(algorithm, hex)| (algorithm.into(), hex.into())),
        })
    };
    let paths = ["/0", "/1", "/2"].map(Path::new);
    assert_eq!(
        plugin.owners(root(), &paths, DEADLINE).expect("owners").each,
        [None, owner("/1", None), owner("/2", Some(("md5", "00ff")))]
    );
    assert_eq!(plugin.busy(Path::new("/chroot"), DEADLINE).expect("busy"), Busy::Interrupted(vec!["/chroot".into()]));
}

#[test]
fn a_copy_of_the_asking_process_is_as_good_as_a_started_one() {
    if std::env::var_os(COPIED).is_some() {
        return;
    }
    let Some(_folder) = Folder::new() else { return };
    let own = std::env::current_exe().expect("own path");
    // One at a time, so that the only other thread of the program waits for the test's, and holds no lock.
    let mut all = Command::new(own);
    let answer = all.arg("--test-threads=1").env(COPIED, "1").output().expect("runs");
    let said = String::from_utf8_lossy(&answer.stdout);
    assert!(answer.status.success() && said.contains(" 0 failed"), "{said}");
    assert!(said.matches(" ... ok").count() > 15, "{said}");
}

#[test]
fn several_questions_are_asked_in_one_process() {
    let Some(folder) = Folder::new() else { return };
    let plugin = folder.plugin("newer");
    let root = root().to_owned();
    let expand = Question::Expand { root: root.clone(), packages: vec![] };
    let questions = vec![Question::Busy { root }, expand, Question::Read(trigger(&[]))];
    let answers = plugin.ask(questions, DEADLINE).expect("answers");
    assert!(
        matches!(
            answers[..],
            [Ok(Answer::Busy(Busy::Busy(_))), Err(PluginError::NoFunction { .. }), Ok(Answer::Reading(_)),]
        ),
        "{answers:?}"
    );
}

#[test]
fn a_plugin_older_or_newer_than_the_host_is_taken_as_far_as_both_know() {
    let Some(folder) = Folder::new() else { return };
    let newer = folder.plugin("newer");
    let busy = newer.busy(root(), DEADLINE).expect("busy");
    assert_eq!(busy, Busy::Busy(vec![]));
    let older = folder.plugin("older");
    assert!(older.read(&trigger(&[]), DEADLINE).is_ok());
    let expand = line(older.expand(root(), &[], DEADLINE));
    assert_eq!(expand, "has no function `expand`");
    let busy = line(older.busy(root(), DEADLINE));
    assert_eq!(busy, "has no function `busy`");
}

#[test]
fn a_plugin_that_is_not_one_is_refused_by_what_it_lacks() {
    let Some(folder) = Folder::new() else { return };
    for (source, expected) in [
        ("short", "its struct has 16 bytes, at least 24 are needed"),
        ("nulls", "has no function `read`"),
        ("null-table", "`reexec_plugin_v1` returned null"),
        ("no-symbol", "does not export `reexec_plugin_v1`"),
        ("wrong-name", "calls itself \"right-name\\x0a\", not as its file is named"),
        ("wild-table", "crashed with SIGSEGV while being loaded"),
    ] {
        let plugin = folder.plugin(source);
        let error = line(plugin.read(&trigger(&[]), DEADLINE));
        assert_eq!(error, expected, "{source}");
    }
    let endless = line(folder.plugin("endless-name").read(&trigger(&[]), DEADLINE));
    assert!(endless.starts_with("calls itself \"xxxx"), "{endless}");
}

#[test]
fn lies_about_lengths_pointers_and_numbers_are_found() {
    let Some(folder) = Folder::new() else { return };
    let plugin = folder.plugin("lies");
    let read = |count: usize| plugin.read(&trigger(&vec!["x"; count]), DEADLINE);
    let bad = "`read` gave a bad answer:";
    for (count, expected) in [
        (0, format!("{bad} it said {} bytes at once, at most 65536 are taken", usize::MAX)),
        (1, format!("{bad} it said 7 bytes at a null pointer")),
        (2, "crashed with SIGSEGV in `read`".to_owned()),
        (3, format!("{bad} \"usr/lib/relative\" is not an absolute path")),
        (4, format!("{bad} it returned 5")),
        (5, "`read` failed with -77 and said nothing".to_owned()),
        (7, "crashed with SIGSEGV in `read`".to_owned()),
    ] {
        assert_eq!(line(read(count)), expected);
    }
    assert!(read(6).is_ok(), "what is said to nobody is not heard");
    assert_eq!(
        line(plugin.owners(root(), &[root()], DEADLINE)),
        "`owners` gave a bad answer: it answered for path 1 of 1"
    );
    assert_eq!(line(plugin.busy(root(), DEADLINE)), "`busy` gave a bad answer: it returned 4");
}

#[test]
fn an_answer_that_does_not_end_is_cut_off() {
    let Some(folder) = Folder::new() else { return };
    let plugin = folder.plugin("lies");
    assert_eq!(line(plugin.expand(root(), &[], DEADLINE)), "`expand` said more than 64 MiB or 2000000 records");
}

#[test]
fn a_crash_names_its_signal_the_function_and_the_last_words() {
    let Some(folder) = Folder::new() else { return };
    let plugin = folder.plugin("crashes");
    assert_eq!(line(plugin.read(&trigger(&[]), DEADLINE)), "crashed with SIGSEGV in `read`; it printed \"last words\"");
    let expand = line(plugin.expand(root(), &[], DEADLINE));
    assert_eq!(expand, "crashed with SIGBUS in `expand`");
    let owners = line(plugin.owners(root(), &[], DEADLINE));
    assert_eq!(owners, "crashed with SIGABRT in `owners`");
    let overflow = line(plugin.busy(root(), DEADLINE));
    assert!(overflow.starts_with("crashed with SIG"), "{overflow}");
    let load = line(folder.plugin("crashes-load").read(&trigger(&[]), DEADLINE));
    assert_eq!(load, "crashed with SIGSEGV while being loaded");
}

#[test]
fn a_file_cut_off_anywhere_never_takes_the_host_down() {
    let Some(folder) = Folder::new() else { return };
    let plugin = folder.plugin("echo");
    let whole = std::fs::read(plugin.file()).expect("read");
    for tenth in 0..10 {
        let cut = &whole[..whole.len() * tenth / 10];
        std::fs::write(plugin.file(), cut).expect("write");
        match plugin.busy(root(), DEADLINE) {
            Ok(_) => assert!(tenth > 5, "only what follows the code may be missing"),
            Err(PluginError::NotLoadable { .. } | PluginError::Crashed { .. }) => {}
            Err(other) => panic!("{tenth}: {other}"),
        }
    }
    std::fs::write(plugin.file(), "no library at all\n".repeat(100)).expect("write");
    assert_eq!(line(plugin.busy(root(), DEADLINE)), "cannot be loaded: FILE: invalid ELF header");
}

#[test]
fn a_plugin_that_hangs_is_ended_at_the_deadline_and_leaves_no_process() {
    let Some(folder) = Folder::new() else { return };
    let plugin = folder.plugin("hangs");
    let deadline = Duration::from_millis(900);
    let begun = Instant::now();
    let error = line(plugin.read(&trigger(&[]), deadline));
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    let pid = error
        .strip_prefix("gave no answer within 900ms in `read`; it printed \"")
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or_else(|| panic!("{error}"));
    assert!(is_gone(pid), "process {pid} is left");

    let flood = line(plugin.expand(root(), &[], deadline));
    let begin = "gave no answer within 900ms in `expand`; it printed \"flood flood";
    assert!(flood.starts_with(begin), "{flood}");
    assert!(flood.len() < 4096, "bounded: {}", flood.len());

    assert_eq!(
        line(folder.plugin("hangs-load").read(&trigger(&[]), deadline)),
        "gave no answer within 900ms while being loaded"
    );
}

#[test]
fn a_good_answer_counts_though_the_plugin_would_hang_at_its_end() {
    let Some(folder) = Folder::new() else { return };
    let busy = folder.plugin("hangs").busy(root(), DEADLINE);
    assert_eq!(busy.expect("busy"), Busy::Busy(vec![]));
}

#[test]
fn a_plugin_that_ends_its_process_is_told_by_the_code() {
    let Some(folder) = Folder::new() else { return };
    let plugin = folder.plugin("exits");
    for code in [0, 3] {
        assert_eq!(
            line(plugin.read(&trigger(&vec!["x"; code]), DEADLINE)),
            format!("ended its process with code {code} in `read`")
        );
    }
    assert_eq!(line(plugin.expand(root(), &[], DEADLINE)), "ended its process with code 2 in `expand`");
}

#[test]
fn what_a_plugin_starts_does_not_outlive_the_question() {
    let Some(folder) = Folder::new() else { return };
    let busy = folder.plugin("exits").busy(root(), DEADLINE).expect("busy");
    let Busy::Busy(pids) = busy else {
        panic!("{busy:?}");
    };
    assert!(is_gone(&pids[0]), "process {} is left", pids[0]);
}

#[test]
fn what_a_plugin_prints_is_a_message_and_its_answer_counts() {
    let Some(folder) = Folder::new() else { return };
    let reading = folder.plugin("prints").read(&trigger(&[]), DEADLINE);
    assert_eq!(reading.expect("reads").messages, ["plugin prints printed: to stdout | to \\x1b[31mstderr"]);
}

#[test]
fn a_plugin_may_read_and_nothing_else() {
    let Some(folder) = Folder::new() else { return };
    let secret = folder.0.join("secret");
    std::fs::write(&secret, "root's").expect("write");
    set_mode(&secret, 0o600);
    let path = secret.to_str().expect("text");
    let reading = folder.plugin("rights").read(&trigger(&[path]), DEADLINE);
    assert_eq!(
        reading.expect("reads").messages,
        [
            "environment 0",
            "uid 65534",
            "reads 1",
            "writes 0",
            "unlinks 0",
            "creates 0",
            "signals 0",
            "executes 0",
            // CAP_DAC_READ_SEARCH alone.
            "CapEff:\\x090000000000000004",
            "NoNewPrivs:\\x091",
        ]
    );
    assert!(secret.exists());
}

#[test]
fn panics_of_a_plugin_in_rust_are_errors_of_that_function() {
    let Some(folder) = Folder::new() else { return };
    cargo_build(&["-p", "reexec-plugin-abi", "--example", "reexec_panics"]);
    let library = built("examples/libreexec_panics.so");
    std::fs::copy(library, folder.file("panics")).expect("copy");
    set_mode(&folder.file("panics"), 0o644);
    let plugin = folder.plugins().find("panics").expect("may be loaded");
    assert_eq!(
        line(plugin.read(&trigger(&[]), DEADLINE)),
        "`read` panicked: index out of bounds: the len is 0 but the index is 7"
    );
    assert_eq!(line(plugin.expand(root(), &[], DEADLINE)), "`expand` panicked: panic without a text");
    assert_eq!(line(plugin.owners(root(), &[], DEADLINE)), "`owners` failed: the database is on the moon");
    let busy = line(plugin.busy(root(), DEADLINE));
    let begin = "crashed with SIGABRT in `busy`; it printed \"";
    assert!(busy.starts_with(begin), "{busy}");
    assert!(busy.contains("across a boundary"), "{busy}");
}

#[test]
fn a_library_that_is_not_roots_alone_is_not_loaded() {
    let Some(folder) = Folder::new() else { return };
    let library = folder.build("echo");
    let found = || folder.plugins().find("echo");
    assert!(found().is_ok());
    for (mode, uid, gid, expected) in [
        (0o646, 0, 0, "not loaded, FILE is writable by everybody"),
        (0o664, 0, 50, "not loaded, FILE is writable by group 50"),
        (0o644, 1, 0, "not loaded, FILE belongs to user 1, not to root"),
    ] {
        chown(&library, Some(uid), Some(gid)).expect("chown");
        set_mode(&library, mode);
        assert_eq!(line(found()), expected);
    }
    chown(&library, Some(0), Some(0)).expect("chown");
    set_mode(&library, 0o664);
    assert!(found().is_ok(), "root's own group may write");
}

#[test]
fn a_folder_that_is_not_roots_alone_holds_no_plugins() {
    let Some(folder) = Folder::new() else { return };
    folder.build("echo");
    let shown = folder.0.display();
    set_mode(&folder.0, 0o777);
    assert_eq!(line(folder.plugins().find("echo")), format!("not loaded, {shown} is writable by everybody"));
    set_mode(&folder.0, 0o755);
    let link = folder.0.with_extension("link");
    symlink(&folder.0, &link).expect("link");
    let error = line(Plugins::new(vec![link.clone()]).find("echo"));
    std::fs::remove_file(&link).expect("remove");
    let link = link.display();
    assert_eq!(error, format!("not loaded, {link} is a symbolic link or not a folder"));
}

#[test]
fn what_is_no_plain_file_is_not_loaded() {
    let Some(folder) = Folder::new() else { return };
    let library = folder.build("echo");
    symlink(&library, folder.file("link")).expect("link");
    std::fs::create_dir(folder.file("folder")).expect("folder");
    let mut mkfifo = Command::new("mkfifo");
    let made = mkfifo.args(["-m", "644"]).arg(folder.file("fifo")).status();
    assert!(made.is_ok_and(|status| status.success()));
    for (name, expected) in [
        ("link", "not loaded, it is a symbolic link"),
        ("folder", "not loaded, it is not a regular file"),
        ("fifo", "not loaded, it is not a regular file"),
    ] {
        assert_eq!(line(folder.plugins().find(name)), expected);
    }
}

#[test]
fn the_plugins_process_checks_again_what_it_loads() {
    let Some(folder) = Folder::new() else { return };
    let plugin = folder.plugin("echo");
    set_mode(plugin.file(), 0o666);
    assert_eq!(line(plugin.busy(root(), DEADLINE)), "not loaded, FILE is writable by everybody");
    std::fs::remove_file(plugin.file()).expect("remove");
    let gone = line(plugin.busy(root(), DEADLINE));
    assert!(gone.contains("no libreexec_echo.so in "), "{gone}");
}

#[test]
fn a_name_that_is_none_and_a_plugin_that_is_not_there_are_told_apart() {
    let text = |plugins: Plugins, name: &str| plugins.find(name).expect_err("none").to_string();
    assert_eq!(text(Plugins::default(), "../evil"), "\"../evil\" is not the name of a plugin: [a-z0-9-]+");
    assert_eq!(text(Plugins::new(vec!["/nowhere".into()]), "dpkg"), "no libreexec_dpkg.so in /nowhere");
}

#[test]
fn all_plugins_are_listed_good_and_bad() {
    let Some(folder) = Folder::new() else { return };
    let library = folder.build("echo");
    symlink(&library, folder.file("alias")).expect("link");
    std::fs::write(folder.file("Upper"), "").expect("write");
    std::fs::write(folder.0.join("README"), "").expect("write");
    let all: Vec<String> = folder
        .plugins()
        .all()
        .into_iter()
        .map(|found| match found {
            Ok(plugin) => plugin.name().to_owned(),
            Err(error) => error.to_string(),
        })
        .collect();
    assert_eq!(all.len(), 3);
    assert!(all[0].starts_with("\"Upper\" is not the name"), "{all:?}");
    assert!(all[1].ends_with("it is a symbolic link"), "{all:?}");
    assert_eq!(all[2], "echo");
}

#[test]
fn a_program_that_cannot_be_a_plugins_process_is_an_error() {
    let Some(folder) = Folder::new() else { return };
    folder.build("echo");
    let with = |program: &str| {
        let plugins = Plugins::new(vec![folder.0.clone()]).started_by(program.into());
        line(plugins.find("echo").expect("found").busy(root(), DEADLINE))
    };
    let missing = with("/no/such/program");
    assert!(missing.starts_with("its process failed: No such file"));
    assert_eq!(with("/bin/true"), "ended its process with code 0 before it was loaded");
}

#[test]
fn sixteen_mebibytes_of_input_arrive() {
    let Some(folder) = Folder::new() else { return };
    let plugin = folder.plugin("echo");
    let of = |mebibytes: usize| TriggerInput { input: vec![b'x'; mebibytes << 20], ..trigger(&[]) };
    let reading = plugin.read(&of(16), DEADLINE).expect("reads");
    assert_eq!(reading.messages, ["phase 2, since 7, 16777216 bytes"]);
    let error = line(plugin.read(&of(65), DEADLINE));
    assert!(error.starts_with("cannot be asked: the question has "), "{error}");
}

#[test]
fn the_dpkg_plugin_answers_through_the_loader() {
    let Some(folder) = Folder::new() else { return };
    if !Path::new("/var/lib/dpkg/status").exists() {
        eprintln!("skipped: needs a dpkg database");
        return;
    }
    cargo_build(&["-p", "reexec-plugin-dpkg"]);
    std::fs::copy(built("libreexec_dpkg.so"), folder.file("dpkg")).expect("copy");
    set_mode(&folder.file("dpkg"), 0o644);
    let plugin = folder.plugins().find("dpkg").expect("may be loaded");
    let begun = Instant::now();
    let busy = plugin.busy(root(), DEADLINE).expect("busy");
    eprintln!("busy: {busy:?} in {:?}", begun.elapsed());

    let packages = ["libc6".to_owned(), "dash".to_owned()];
    let reading = plugin.expand(root(), &packages, DEADLINE).expect("expands");
    assert_eq!(reading.messages, [""; 0]);
    let files: Vec<_> = reading
        .claims
        .iter()
        .filter_map(|claim| match claim {
            Claim::File { path, .. } if path.exists() => Some(path.as_path()),
            Claim::File { .. } | Claim::Tree { .. } => None,
        })
        .collect();
    let libc = files.iter().any(|file| file.ends_with("libc.so.6"));
    assert!(libc, "{files:?}");
    let begun = Instant::now();
    let owners = plugin.owners(root(), &files, DEADLINE).expect("owners").each;
    eprintln!("owners of {} paths in {:?}", files.len(), begun.elapsed());
    for (file, owner) in files.iter().zip(owners) {
        let package = owner.map(|owner| owner.package).unwrap_or_default();
        assert!(packages.contains(&package), "{}: {package}", file.display());
    }
}
