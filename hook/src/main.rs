//! `reexec`: parse, call, print, exit.

fn main() -> std::process::ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == reexec::sys::plugin::child::WORD)
    {
        return reexec::sys::plugin::child::main();
    }
    std::process::ExitCode::SUCCESS
}
