//! The C header and the Rust structs are the same contract.

use reexec_plugin_abi::{Bytes, PluginV1, Sink, Trigger};
use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

/// For every struct: its C name, its size, and its fields by C name with their offsets.
macro_rules! layout {
    ($($c:literal = $rust:ty { $($field:ident $(as $c_field:literal)?),+ })+) => {
        vec![$((
            $c,
            size_of::<$rust>(),
            vec![$((layout!(@name $field $($c_field)?), offset_of!($rust, $field))),+],
        )),+]
    };
    (@name $field:ident $c:literal) => { $c };
    (@name $field:ident) => { stringify!($field) };
}

type Layout = Vec<(&'static str, usize, Vec<(&'static str, usize)>)>;

fn rust_layout() -> Layout {
    layout! {
        "reexec_bytes" = Bytes { data, len }
        "reexec_trigger" = Trigger { size, phase, root, arguments, argument_count, input, since }
        "reexec_sink" = Sink { size, context, package, file, tree, owner, message, dependency }
        "reexec_plugin_v1" = PluginV1 { size, name, read, expand, owners, busy, dependencies }
    }
}

fn constants() -> Vec<(&'static str, i64)> {
    vec![
        ("REEXEC_OK", reexec_plugin_abi::OK.into()),
        ("REEXEC_FAILED", reexec_plugin_abi::FAILED.into()),
        ("REEXEC_PANICKED", reexec_plugin_abi::PANICKED.into()),
        ("REEXEC_IDLE", reexec_plugin_abi::IDLE.into()),
        ("REEXEC_BUSY", reexec_plugin_abi::BUSY.into()),
        ("REEXEC_INTERRUPTED", reexec_plugin_abi::INTERRUPTED.into()),
        ("REEXEC_LOCKED", reexec_plugin_abi::LOCKED.into()),
        ("REEXEC_PHASE_PRE", reexec_plugin_abi::PHASE_PRE.into()),
        ("REEXEC_PHASE_POST", reexec_plugin_abi::PHASE_POST.into()),
    ]
}

#[test]
fn the_c_header_has_the_layout_of_the_rust_structs() {
    let mut program = String::from("#include <stdio.h>\n#include \"reexec-plugin.h\"\nint main(void) {\n");
    let mut expected = String::new();
    for (name, size, fields) in rust_layout() {
        let _ = writeln!(program, "printf(\"{name} %zu\\n\", sizeof(struct {name}));");
        let _ = writeln!(expected, "{name} {size}");
        for (field, offset) in fields {
            let _ = writeln!(program, "printf(\"{name}.{field} %zu\\n\", offsetof(struct {name}, {field}));");
            let _ = writeln!(expected, "{name}.{field} {offset}");
        }
    }
    for (name, value) in constants() {
        let _ = writeln!(program, "printf(\"{name} %d\\n\", {name});");
        let _ = writeln!(expected, "{name} {value}");
    }
    program.push_str("return 0; }\n");
    assert_eq!(compiled_and_run(&program), expected);
}

fn compiled_and_run(program: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, binary) = (folder.join("layout.c"), folder.join("layout"));
    std::fs::write(&source, program).expect("write the program");
    let status = Command::new("gcc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")))
        .args([&source, Path::new("-o"), &binary].map(|arg: &Path| arg))
        .status()
        .expect("gcc is installed");
    assert!(status.success(), "gcc refuses the header");
    let output = Command::new(&binary).output().expect("run the program");
    String::from_utf8(output.stdout).expect("text")
}
