//! Programs of other projects that read what we print: installed by `tests/deps`, beside the beds.

use crate::bed::cache;
use crate::place::{workspace, Scratch};
use crate::run::{run, Output};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// A program of `tests/deps.pip`, or `python` with those packages; `None` where they are not installed.
pub fn python(program: &str) -> Option<PathBuf> {
    Some(cache().join("tools/python/bin").join(program)).filter(|path| path.exists())
}

/// The folder of a Python package of `tests/deps.pip`; `None` where it is not installed.
pub fn python_package(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir(cache().join("tools/python/lib")).ok()?;
    let packages = versions.filter_map(|entry| Some(entry.ok()?.path().join("site-packages").join(name)));
    packages.into_iter().find(|package| package.is_dir())
}

/// What the published schema says against a report, and which fields it does not know; empty where all is
/// well, `None` where jsonschema is not installed.
pub fn report_faults(report: &str) -> Result<Option<String>> {
    let Some(python) = python("python") else { return Ok(None) };
    let schema = std::fs::read_to_string(workspace().join("hook/share/report.schema.json"))?;
    let check = "import json, sys, jsonschema\n\
        schema, report = (json.load(open(path)) for path in sys.argv[1:])\n\
        jsonschema.Draft202012Validator.check_schema(schema)\n\
        def close(node):\n    \
            if isinstance(node, dict):\n        \
                if 'properties' in node: node['additionalProperties'] = False\n        \
                for value in node.values(): close(value)\n    \
            elif isinstance(node, list):\n        \
                for value in node: close(value)\n\
        close(schema)\n\
        errors = list(jsonschema.Draft202012Validator(schema).iter_errors(report))\n\
        print('\\n'.join(f'{e.json_path}: {e.message}' for e in errors))";
    Ok(Some(script(&python, check, &[("schema", &schema), ("report", report)])?.success()?.text()))
}

/// Prometheus's own checker.
pub fn promtool() -> Option<PathBuf> {
    Some(cache().join("tools/prometheus/usr/bin/promtool")).filter(|path| path.exists())
}

/// What apt-dater says of a host of which it has been told these lines: its report in XML. `None` where it is
/// not installed.
pub fn apt_dater(lines: &str) -> Result<Option<String>> {
    let top = cache().join("tools/apt-dater/usr");
    let program = top.join("bin/apt-dater");
    if !program.exists() {
        return Ok(None);
    }
    let folder = Scratch::new("apt-dater")?;
    let schema = top.join("share/xml/schema/apt-dater");
    let file = |name: &str, text: &str| std::fs::write(folder.join(name), text);
    let kind = |name: &str| format!("<!DOCTYPE {name} SYSTEM \"file://{}/{name}.dtd\">\n", schema.display());
    file("hosts.xml", &(kind("hosts") + "<hosts><group name=\"all\"><host name=\"web1\"/></group></hosts>"))?;
    let own = folder.path().display();
    let places = format!("<paths hosts-file=\"{own}/hosts.xml\" stats-dir=\"{own}\"/>");
    file("config.xml", &(kind("apt-dater") + &format!("<apt-dater><ssh cmd=\"/bin/false\"/>{places}</apt-dater>")))?;
    // What its helper on the host says around needrestart's lines (its README, "ADP").
    let told = format!("ADPROTO: 0.7\nLSBREL: Debian|12|bookworm\nVIRT: Physical\nUNAME: Linux|x86_64\n{lines}");
    file("web1:0.stat", &told)?;
    let mut command = Command::new(program);
    command.args(["-n", "-r", "-c"]).arg(folder.join("config.xml")).env("HOME", folder.path());
    Ok(Some(run(&mut command, b"", PATIENCE)?.success()?.text()))
}

/// Two kernels of Debian, the older first: their images, as the packages bring them.
pub fn kernels() -> Result<Option<[PathBuf; 2]>> {
    let top = cache().join("tools/kernels");
    if !top.join("done").exists() {
        return Ok(None);
    }
    let mut images: Vec<PathBuf> = std::fs::read_dir(top.join("boot"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
        .collect();
    // Their names are of one length: 6.1.0-55-cloud-amd64.
    images.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    Ok(images.try_into().ok())
}

/// Runs a program with this input.
pub fn feed(program: &Path, arguments: &[&str], input: &str) -> Result<Output> {
    run(Command::new(program).args(arguments), input.as_bytes(), PATIENCE)
}

/// Runs a Python script that reads these files, named in its `sys.argv`.
pub fn script(python: &Path, code: &str, files: &[(&str, &str)]) -> Result<Output> {
    let folder = Scratch::new("python")?;
    let mut command = Command::new(python);
    command.args(["-c", code]);
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
        command.arg(folder.join(name));
    }
    run(&mut command, b"", PATIENCE)
}
