//! From what was typed to what is printed and the exit code.

use super::apply::{self, Mode, Moment, Order};
use super::desk::Desk;
use super::{doctor, explain, history, hook, marks, policy, report, told, watch};
use crate::cli::{
    ApplyArguments, Color, Command, Common, Format, HookArguments, Part, ReplaceArguments, ReportArguments,
};
use crate::model::report::Report;
use crate::render::needrestart::Parts;
use crate::render::text::{self, Asked, Style};
use crate::render::{self, json, needrestart, openmetrics, restarting};
use crate::sys::state::Store;
use crate::sys::{host, journal, procs, progress, user};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// What a command answers.
#[derive(Debug, Default)]
pub struct Answer {
    /// For standard output.
    pub text: String,
    /// For standard error, without the program's name; empty: nothing.
    pub error: String,
    /// Exit code.
    pub code: u8,
    /// What must be run behind it, with the policy's own deadlines: of a hook that acts inline.
    pub next: Option<Command>,
}

/// Bytes of an errand: the names of all units of a machine are less.
const MOST_ERRAND: u64 = 1 << 20;

/// Usage or configuration error; nothing was done.
const FAULT: u8 = 2;

/// The hook answers within half a minute whatever happens; acting inline has deadlines of its own.
const HOOK_DEADLINE: Duration = Duration::from_secs(28);

/// Runs the hook in a thread, so that neither a hang nor a panic in it reaches the package manager.
pub fn run_hook(command: Command) -> Answer {
    let (send, receive) = mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || drop(send.send(run(&command))));
    let gave_up = |why: &str| Answer { text: format!("reexec: {why}; nothing was lost\n"), ..Answer::default() };
    match thread.map(|_| receive.recv_timeout(HOOK_DEADLINE)) {
        Ok(Ok(answer)) => answer,
        Ok(Err(mpsc::RecvTimeoutError::Timeout)) => gave_up("gave up after 28 s"),
        Ok(Err(mpsc::RecvTimeoutError::Disconnected)) | Err(_) => gave_up("failed inside"),
    }
}

/// A look of the update service at the files in use: what our own child is called for.
pub fn note() -> Answer {
    match marks::note(&Desk::open(&Common::untyped())) {
        Ok(()) => Answer::default(),
        Err(error) => Answer { error: format!("{error:#}"), code: FAULT, ..Answer::default() },
    }
}

/// Runs an errand as the user whose bus it is about: what our own child is called for.
pub fn errand(uid: Option<&str>) -> Answer {
    let input = host::input_at_most(MOST_ERRAND);
    Answer { text: user::run(uid, &input), ..Answer::default() }
}

/// Runs a command.
pub fn run(command: &Command) -> Answer {
    if let Command::Report(ReportArguments { common, .. })
    | Command::Plan(common)
    | Command::Apply(ApplyArguments { common, .. })
    | Command::Replace(ReplaceArguments { common, .. }) = command
    {
        progress::want(common.format == Format::Text && !common.quiet && common.color != Color::Never);
    }
    let answer = match command {
        Command::Report(typed) if typed.schema => {
            Ok(Answer { text: json::SCHEMA_TEXT.to_owned(), ..Answer::default() })
        }
        Command::Report(typed) => look(&typed.common, Asked::Report, needrestart_parts(&typed.parts)),
        Command::Plan(common) => look(common, Asked::Plan, Parts::ALL),
        Command::Explain { what, common } => only(common, &[Format::Text, Format::Json])
            .and_then(|()| explain::explain(&Desk::open(common), what, &style(common)))
            .map(|(text, code)| hushed(Answer { text, code, ..Answer::default() }, common)),
        Command::Apply(typed) => {
            let moment = match (typed.after_transaction, typed.inline) {
                (true, _) => Moment::AfterTransaction,
                (false, true) => Moment::Inline,
                (false, false) => Moment::Now,
            };
            let mode = if typed.dry_run { Mode::DryRun } else { Mode::Act };
            act(&typed.common, Order { moment, mode, at_once: typed.now, interactive: typed.interactive })
        }
        Command::Replace(typed) => told::put_in_place(typed),
        Command::Run { command, dry_run, output, common } => {
            told::bracketed(command, *dry_run, output.as_deref(), common)
        }
        Command::Hook(typed) => hooked(typed),
        Command::Policy { command, root } => {
            policy::policy(command, root).map(|text| Answer { text, ..Answer::default() })
        }
        Command::History { last, number, common } => only(common, &[Format::Text, Format::Json])
            .and_then(|()| history::history(&Store::below(&common.root), *last, *number, common, &style(common)))
            .map(|answer| hushed(answer, common)),
        Command::Doctor(common) => only(common, &[Format::Text, Format::Json]).map(|()| {
            let checks = doctor::doctor(&Desk::open(common));
            let text = match common.format {
                Format::Json => json::doctor(&checks),
                _ => text::doctor(&checks, &style(common)),
            };
            hushed(Answer { text, code: doctor::exit_code(&checks), ..Answer::default() }, common)
        }),
        Command::Watch(typed) => watch::watch(typed).map(|code| Answer { code, ..Answer::default() }),
    };
    answer.unwrap_or_else(|error| failed(&error, command))
}

fn hooked(typed: &HookArguments) -> anyhow::Result<Answer> {
    let common = typed.common();
    let told = hook::hook(&Desk::open(&common), typed);
    Ok(match told.usage {
        Some(error) => Answer { error, code: FAULT, ..Answer::default() },
        None => {
            let lines = told.lines.iter().filter(|_| !typed.quiet);
            let text = lines.map(|line| format!("reexec: {line}\n")).collect();
            let inline = ApplyArguments {
                after_transaction: false,
                inline: true,
                dry_run: false,
                now: false,
                interactive: false,
                common,
            };
            let next = told.inline.then_some(Command::Apply(inline));
            Answer { text, code: if typed.strict { told.strict_code } else { 0 }, next, ..Answer::default() }
        }
    })
}

/// Forms that are of reports alone mean nothing elsewhere.
pub fn only(common: &Common, forms: &[Format]) -> anyhow::Result<()> {
    anyhow::ensure!(forms.contains(&common.format), "this command answers in text or json");
    Ok(())
}

/// For Nagios 2 is critical, and a plugin that writes nothing is broken.
fn failed(error: &anyhow::Error, command: &Command) -> Answer {
    let error = format!("{error:#}");
    match command {
        Command::Report(ReportArguments { common, .. })
        | Command::Plan(common)
        | Command::Apply(ApplyArguments { common, .. })
            if common.format == Format::Nagios =>
        {
            let (text, code) = needrestart::nagios_failed(&error);
            Answer { text, error, code, next: None }
        }
        _ => Answer { error, code: FAULT, ..Answer::default() },
    }
}

fn look(common: &Common, asked: Asked, parts: Parts) -> anyhow::Result<Answer> {
    let desk = Desk::open(common);
    if asked == Asked::Plan {
        desk.policy()?;
    }
    let report = report::report(&desk)?;
    let code = report.exit_code();
    Ok(print(&report, code, (asked, parts), common))
}

fn needrestart_parts(typed: &[Part]) -> Parts {
    let has = |part| typed.is_empty() || typed.contains(&part);
    Parts { kernel: has(Part::Kernel), microcode: has(Part::Microcode), processes: has(Part::Processes) }
}

fn act(common: &Common, order: Order) -> anyhow::Result<Answer> {
    let desk = Desk::open(common);
    let run = match apply::apply(&desk, order) {
        Err(error) if order.mode == Mode::Act && order.moment != Moment::Now => {
            let _ = journal::send(&[render::journal::fault(&format!("{error:#}"))]);
            return Err(error);
        }
        run => run?,
    };
    // In the journal the entries are the text; twice the same is no help.
    let entries = run.report.as_ref().map(|report| render::journal::entries(report, run.exit_code)).unwrap_or_default();
    let told = order.mode == Mode::Act && common.root == Path::new("/") && !entries.is_empty();
    if told && journal::send(&entries).is_ok() && host::output_is_journal() {
        return Ok(Answer { code: run.exit_code, ..Answer::default() });
    }
    let asked = match order.mode {
        Mode::Act => Asked::Apply,
        Mode::DryRun => Asked::Plan,
    };
    Ok(match run.report {
        Some(report) => print(&report, run.exit_code, (asked, Parts::ALL), common),
        None => Answer { code: run.exit_code, ..Answer::default() },
    })
}

/// A report in the form that was asked for. Forms of other tools have their exit codes, and no place
/// for what could not be looked at: that goes to standard error.
fn print(report: &Report, code: u8, (asked, parts): (Asked, Parts), common: &Common) -> Answer {
    let (text, code) = match common.format {
        Format::Json => (json::render(report, code), code),
        Format::Text => (text::render(report, asked, &style(common)), code),
        Format::Openmetrics => {
            let last = Store::below(&common.root).last_run();
            (openmetrics::render(report, last.as_ref()), code)
        }
        Format::Needrestart => (needrestart::batch(report, parts), code),
        Format::Nagios => needrestart::nagios(report, parts),
        Format::Processes => restarting::processes(report, &commands(report, common)),
        Format::Services => restarting::services(report),
        Format::RebootHint => restarting::reboot_hint(report),
    };
    let error = match common.format {
        Format::Needrestart | Format::Processes | Format::Services => text::unlooked(report),
        Format::Text | Format::Json | Format::Openmetrics | Format::Nagios | Format::RebootHint => String::new(),
    };
    hushed(Answer { text, error, code, next: None }, common)
}

/// With `--quiet` the exit code is all there is.
fn hushed(answer: Answer, common: &Common) -> Answer {
    match common.quiet {
        true => Answer { text: String::new(), error: String::new(), ..answer },
        false => answer,
    }
}

/// The command lines of the processes that are not fresh.
fn commands(report: &Report, common: &Common) -> BTreeMap<i32, Vec<Vec<u8>>> {
    let pids = report.processes.iter().map(|row| row.process.key.pid);
    pids.filter_map(|pid| Some((pid, procs::open(&common.proc, pid).ok()?.arguments()))).collect()
}

/// How text is laid out.
pub fn style(common: &Common) -> Style {
    let color = match common.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => host::output_is_terminal() && !host::no_color(),
    };
    Style { columns: host::terminal_columns().unwrap_or(80), color, verbose: common.verbose }
}
