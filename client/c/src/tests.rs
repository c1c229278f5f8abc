//! The C header and the Rust definitions are the same contract.

use super::*;
use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

#[test]
fn the_c_header_has_the_layout_and_numbers_of_the_rust_definitions() {
    let fields = [
        ("size", offset_of!(Asker, size)),
        ("pid", offset_of!(Asker, pid)),
        ("uid", offset_of!(Asker, uid)),
        ("within_ms", offset_of!(Asker, within_ms)),
    ];
    let numbers = [
        ("REEXEC_CLIENT_SAME", SAME),
        ("REEXEC_CLIENT_REPLACED", REPLACED),
        ("REEXEC_CLIENT_OVERWRITTEN", OVERWRITTEN),
        ("REEXEC_CLIENT_REMOVED", REMOVED),
        ("REEXEC_CLIENT_WILL", WILL),
        ("REEXEC_CLIENT_LATER", LATER),
        ("REEXEC_CLIENT_NO", NO),
    ];
    let mut program = String::from("#include <stdio.h>\n#include \"reexec-client.h\"\nint main(void) {\n");
    program.push_str("printf(\"%zu\\n\", sizeof(struct reexec_client_asker));\n");
    let mut expected = format!("{}\n", size_of::<Asker>());
    for (field, offset) in fields {
        let _ = writeln!(program, "printf(\"%zu\\n\", offsetof(struct reexec_client_asker, {field}));");
        let _ = writeln!(expected, "{offset}");
    }
    for (name, number) in numbers {
        let _ = writeln!(program, "printf(\"%d\\n\", {name});");
        let _ = writeln!(expected, "{number}");
    }
    program.push_str("return 0; }\n");
    assert_eq!(compiled_and_run(&program), expected);
}

fn compiled_and_run(program: &str) -> String {
    let folder = std::env::temp_dir();
    let binary = folder.join(format!("reexec-layout-{}", std::process::id()));
    let source = binary.with_extension("c");
    std::fs::write(&source, program).expect("write the program");
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]).arg(env!("CARGO_MANIFEST_DIR"));
    let status =
        gcc.args([&source, Path::new("-o"), &binary].map(|arg: &Path| arg)).status().expect("gcc is installed");
    assert!(status.success(), "gcc refuses the header");
    let output = Command::new(&binary).output().expect("run the program");
    let _ = (std::fs::remove_file(source), std::fs::remove_file(binary));
    String::from_utf8(output.stdout).expect("text")
}
