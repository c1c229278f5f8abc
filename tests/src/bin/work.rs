//! `work TASK`: one of the parsers at a fixed piece of work, for counting its instructions.

use anyhow::{bail, Result};
use reexec::model::mapping::{parse_maps, Wanted};
use reexec::model::process::{parse_start, parse_stat};
use reexec::model::starts::{Starts, StartsOf};
use reexec_tests::fixture::maps_text;
use std::hint::black_box;

const TIMES: usize = 200;

fn main() -> Result<()> {
    let task = std::env::args().nth(1).unwrap_or_default();
    let text = maps_text(300);
    let stat = b"4321 (a (b) c) S 1 4321 4321 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 1000 1 2 3 4";
    let of = StartsOf { boot_id: "boot".to_owned(), pids: 1, times: 2 };
    let starts = Starts::of((1..2000).map(|pid| (pid, u64::from(pid) * 7)).collect()).bytes(&of);
    for _ in 0..TIMES {
        match task.as_str() {
            "maps-code" => drop(black_box(parse_maps(black_box(&text), Wanted::Code).count())),
            "maps-files" => drop(black_box(parse_maps(black_box(&text), Wanted::Files).count())),
            "stat" => (0..100).for_each(|_| drop(black_box(parse_stat(black_box(stat))))),
            "start" => (0..100).for_each(|_| _ = black_box(parse_start(black_box(stat)))),
            "starts" => drop(black_box(Starts::parse(black_box(&starts), &of))),
            _ => bail!("work: maps-code, maps-files, stat, start, or starts"),
        }
    }
    Ok(())
}
