//! Containers as their runtimes make them: what runs in them is told as theirs, from their own root, and
//! what runs them is told as the host's.

use anyhow::{ensure, Context, Result};
use reexec_tests::bed::{Bed, Options};
use reexec_tests::echo::version_of;
use reexec_tests::needs_bed;
use reexec_tests::states::Shop;
use serde_json::Value;

const BASE: &str = "containers";

/// A root with a static program and two libraries in it, one of them behind a folder of the host, as each
/// runtime wants it, and the containers.
const CONTAINERS: &str = r#"
root() {
    mkdir -p "$1"/{lib,etc,usr/bin,usr/lib/x86_64-linux-gnu,proc,sys,dev,tmp,run,host}
    for file in bin/nsenter lib/x86_64-linux-gnu/libc.so.6; do echo other >"$1/usr/$file"; done
    cp /usr/lib/shop/static "$1/prog"; cp /usr/lib/shop/lib1 "$1/lib/lib.so"
    echo ID=x >"$1/usr/lib/os-release"; cp "$1/usr/lib/os-release" "$1/etc/os-release"
}
mkdir -p /srv/bound /usr/lib/own
cp /usr/lib/shop/lib1 /srv/bound/lib.so; cp /usr/lib/shop/lib1 /usr/lib/own/lib.so
run="/prog map-code /lib/lib.so map-code /host/lib.so"
for name in nspawn untouched lxc podman; do root "/srv/$name"; done

nspawn() { # NAME [OPTION]
    sleep 600 | SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn -q -D "/srv/$1" --private-network --machine="$1" $2 \
        --bind-ro=/srv/bound:/host $run >"/run/$1.log" 2>&1 &
}
nspawn nspawn ""
# Its first process is systemd-nspawn itself.
nspawn untouched --as-pid2

mkdir -p /etc/containers
printf '[storage]\ndriver="vfs"\nrunroot="/run/containers/storage"\ngraphroot="/var/lib/containers/storage"\n' \
    >/etc/containers/storage.conf
# Nobody may make a keyring in a machine that is a container itself.
printf '[containers]\nkeyring = false\n' >/etc/containers/containers.conf
tar -C /srv/podman -c . | podman --runtime crun import - victim >/run/podman.log 2>&1
podman --runtime crun run -d -i --name p1 --network none --privileged --pids-limit=0 \
    --ulimit=memlock=65536:65536 --ulimit=nofile=1024:20000 --ulimit=nproc=1000:1000 \
    -v /srv/bound:/host victim $run >>/run/podman.log 2>&1

mkdir -p /var/lib/lxc/l1
printf 'lxc.rootfs.path = dir:/srv/lxc\nlxc.uts.name = l1\nlxc.net.0.type = empty\nlxc.mount.auto = proc:rw
lxc.apparmor.profile = unconfined\nlxc.mount.entry = /srv/bound host none bind 0 0\n' >/var/lib/lxc/l1/config
sleep 600 | lxc-execute -n l1 -- $run >/run/lxc.log 2>&1 &

# A service that sees neither other processes nor has the host's pids.
systemd-run --quiet --unit=hidden -p PrivatePIDs=yes -p PrivateTmp=yes \
    sh -c 'sleep 600 | /usr/lib/shop/prog1 load /usr/lib/own/lib.so' 2>/dev/null || true
systemd-run --quiet --unit=ownpids sh -c \
    'sleep 600 | unshare --pid --fork --kill-child --mount --mount-proc /usr/lib/shop/prog1 load /usr/lib/own/lib.so'
sleep infinity
"#;

/// Puts new files in place by rename: in each container but one, in the bound folder, and on the host. What runs
/// the containers is another build after that.
const REPLACE: &str = r#"
for lib in /srv/nspawn/lib /srv/lxc/lib /srv/bound /usr/lib/own; do
    cp /usr/lib/shop/lib2 "$lib/new"; mv "$lib/new" "$lib/lib.so"
done
merged=$(podman mount p1); cp /usr/lib/shop/lib2 "$merged/lib/new"; mv "$merged/lib/new" "$merged/lib/lib.so"
"#;

/// Until all of them map their libraries.
const READY: &str = r#"
for i in $(seq 300); do
    n=$(grep -l /lib/lib.so /proc/[0-9]*/maps 2>/dev/null | wc -l)
    m=$(grep -l /usr/lib/own/lib.so /proc/[0-9]*/maps 2>/dev/null | wc -l)
    wanted=1; ! systemctl -q is-active hidden || wanted=2
    if [ "$n" -ge 4 ] && [ "$m" -ge "$wanted" ]; then exit 0; fi
    sleep 0.1
done
echo "$n of the containers, $m of the services"; tail -n 5 /run/*.log; exit 1
"#;

/// A program of the host that entered a container in which others stand in the places of its files.
const ENTER: &str = r#"
running() { grep -lx "$1" /proc/[0-9]*/comm | head -1; }
pid=$(running prog); pid=${pid#/proc/}; pid=${pid%/comm}
systemd-run --quiet --unit=entered sh -c "sleep 600 | nsenter --target $pid --mount --pid /prog threads 1"
for i in $(seq 100); do [ -z "$(running nsenter)" ] || exit 0; sleep 0.1; done; exit 1
"#;

/// What runs the containers.
const RUNTIMES: [&str; 3] = ["/usr/bin/systemd-nspawn", "/usr/bin/conmon", "/usr/bin/lxc-execute"];

fn report(bed: &Bed) -> Result<Value> {
    let said = bed.exec(&["/usr/lib/shop/reexec", "report", "--format", "json"])?;
    serde_json::from_slice(&said.stdout).with_context(|| said.errors())
}

/// What is said of each process that runs an old file: kind and name of its owner, its name, and the file's
/// path, root and method.
fn told(report: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for row in report["processes"].as_array().into_iter().flatten() {
        let owner = format!("{} {}", word(&row["owner"]["kind"]), word(&row["owner"]["name"]));
        for cause in row["causes"].as_array().into_iter().flatten() {
            let file = ["path", "root", "method"].map(|key| word(&cause[key])).join(" ");
            lines.push(format!("{}: {}: {file}", owner.trim_end(), word(&row["comm"])));
        }
    }
    lines.sort();
    lines
}

#[test]
fn what_runs_in_a_container_is_told_as_its_own_and_what_runs_it_as_the_hosts() -> Result<()> {
    needs_bed!(BASE);
    let shop = Shop::open()?;
    let bed = Bed::boot("containers", BASE, &Options::default().bind_ro(shop.path(), "/usr/lib/shop"))?;
    bed.write_file("/run/containers.sh", CONTAINERS.as_bytes())?;
    bed.exec(&["systemd-run", "--quiet", "--unit=containers", "-p", "Delegate=yes", "bash", "/run/containers.sh"])?
        .success()?;
    bed.shell(READY)?;
    bed.shell(ENTER)?;

    let before = report(&bed)?;
    ensure!(before["verdict"] == "fresh" && before["exit_code"] == 0, "before anything was replaced: {before:#}");
    bed.shell(REPLACE)?;
    for program in RUNTIMES {
        bed.write_program(&format!("{program}.new"), &version_of(&bed.read_file(program)?, 2)?)?;
        bed.shell(&format!("mv {program}.new {program}"))?;
    }
    let podman = bed.shell("podman ps --no-trunc -q")?;
    let podman = &podman[..12];
    let mut expected = Vec::new();
    for (name, own) in [("l1", true), ("nspawn", true), ("untouched", false), (podman, true)] {
        expected.push(format!("container {name}: prog: /host/lib.so mounted renamed"));
        expected.extend(own.then(|| format!("container {name}: prog: /lib/lib.so own renamed")));
    }
    // The base is an overlay's lower layer: how its files were replaced cannot be told there.
    for (owner, comm, program) in [
        ("container l1", "lxc-execute", "/usr/bin/lxc-execute"),
        ("loose", "lxc-execute", "/usr/bin/lxc-execute"),
        ("container untouched", "(sd-stubinit)", "/usr/bin/systemd-nspawn"),
        ("service containers.service", "systemd-nspawn", "/usr/bin/systemd-nspawn"),
        ("service containers.service", "systemd-nspawn", "/usr/bin/systemd-nspawn"),
        ("service containers.service", "conmon", "/usr/bin/conmon"),
    ] {
        expected.push(format!("{owner}: {comm}: {program} host unknown"));
    }
    let mut services = vec!["ownpids"];
    // systemd knows PrivatePIDs since 257.
    let version = bed.shell("systemctl --version | sed -n '1s/^systemd \\([0-9]*\\).*/\\1/p'")?;
    if version.parse::<u32>()? >= 257 {
        services.push("hidden");
    }
    let service = |name: &str| format!("service {name}.service: prog1: /usr/lib/own/lib.so host renamed");
    expected.extend(services.into_iter().map(service));
    expected.sort();
    let after = report(&bed)?;
    assert_eq!(told(&after), expected, "{:#}", after["gaps"]);
    assert_eq!((&after["exit_code"], &after["gaps"]), (&Value::from(1), &Value::Array(Vec::new())));
    let text = bed.exec(&["/usr/lib/shop/reexec", "report"])?.text();
    for words in ["container nspawn (machine)", "container l1 (lxc)", "its own file, not the host's", "mounted into it"]
    {
        ensure!(text.contains(words), "{words:?} is not in\n{text}");
    }
    ensure!(text.contains(&format!("container {podman} (podman)")), "{text}");
    Ok(())
}
