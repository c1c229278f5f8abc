//! The parsers of what every process is asked for, and of what a hook reads: `cargo bench -p reexec-tests`.

use divan::{black_box, Bencher};
use reexec::model::mapping::{parse_maps, readings, Wanted};
use reexec::model::process::{parse_start, parse_stat, parse_uid};
use reexec::model::starts::{Starts, StartsOf};
use reexec_tests::fixture::maps_text;

fn main() {
    divan::main();
}

const STAT: &[u8] = b"4321 (a (b) c) S 1 4321 4321 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 1000 1 2 3 4";

#[divan::bench(args = [60, 300, 3000])]
fn maps_code(bencher: Bencher<'_, '_>, lines: usize) {
    let text = maps_text(lines);
    bencher.bench_local(|| parse_maps(black_box(&text), Wanted::Code).count());
}

#[divan::bench(args = [60, 300, 3000])]
fn maps_files(bencher: Bencher<'_, '_>, lines: usize) {
    let text = maps_text(lines);
    bencher.bench_local(|| parse_maps(black_box(&text), Wanted::Files).count());
}

#[divan::bench]
fn names_of_a_mapping() -> usize {
    readings(black_box(b"/usr/lib/x86_64-linux-gnu/libcrypto.so.3 (deleted)")).len()
}

#[divan::bench]
fn stat() -> Option<u64> {
    parse_stat(black_box(STAT)).map(|stat| stat.start_ticks)
}

#[divan::bench]
fn start_time() -> Option<u64> {
    parse_start(black_box(STAT))
}

#[divan::bench]
fn user() -> Option<u32> {
    parse_uid(black_box(b"Name:\tx\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t1\nUid:\t1000\t0\t0\t0\n"))
}

#[divan::bench(args = [1000, 5000])]
fn kept_start_times(bencher: Bencher<'_, '_>, processes: u32) {
    let of = StartsOf { boot_id: "boot".to_owned(), pids: 1, times: 2 };
    let bytes = Starts::of((1..processes).map(|pid| (pid, u64::from(pid) * 7)).collect()).bytes(&of);
    bencher.bench_local(|| Starts::parse(black_box(&bytes), &of));
}
