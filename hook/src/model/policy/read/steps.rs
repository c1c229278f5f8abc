//! Actions and their settings, and windows.

use super::values::{one_of, unknown, DEADLINE_BOUNDS};
use super::Reader;
use crate::model::policy::action::{Action, Ladder, LadderError, Program, Step};
use crate::model::policy::fragment::WindowFragment;
use crate::model::policy::node::{Key, Node, Place, Problem, Value};
use crate::model::policy::signal::{SignalError, SignalName, SignalTo, SignalUntil, Signalling};
use crate::model::policy::window::{time_of_day, Day, Window};
use crate::model::text::escape;
use crate::model::verdict::words;
use jiff::civil::Time;

words! { CommandKey { Run = "run", Deadline = "deadline", } }
words! { AskKey { Deadline = "deadline", } }
words! { NotifyKey { Terminal = "terminal", } }
words! { SignalKey { Send = "send", To = "to", Until = "until", Deadline = "deadline", } }
words! { WindowKey { Days = "days", From = "from", To = "to", Timezone = "timezone", } }

/// The keys under an action that takes settings; none for one that takes none.
pub fn settings_of(action: Action) -> &'static [&'static str] {
    match action {
        Action::Command => CommandKey::WORDS,
        Action::Ask => AskKey::WORDS,
        Action::Notify => NotifyKey::WORDS,
        Action::Signal => SignalKey::WORDS,
        Action::Ignore
        | Action::Report
        | Action::Reload
        | Action::Restart
        | Action::ReexecManager
        | Action::SoftReboot
        | Action::RebootHint => &[],
    }
}

/// The keys of a window.
pub fn window_keys() -> &'static [&'static str] {
    WindowKey::WORDS
}

/// Arguments of a command: more is a script.
const MOST_ARGUMENTS: usize = 64;
/// Signals in a row.
const MOST_SIGNALS: usize = 8;

impl Reader<'_> {
    pub(super) fn ladder(&mut self, node: &Node) -> Option<Ladder> {
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let steps: Vec<_> = nodes.iter().map(|node| self.step(node)).collect();
        let steps: Vec<Step> = steps.into_iter().collect::<Option<_>>()?;
        match Ladder::new(steps) {
            Ok(ladder) => Some(ladder),
            Err(error) => {
                let problem = match error {
                    LadderError::Empty => Problem::at(node.place, "an empty list of actions")
                        .hint("`report` says it and leaves the owner alone"),
                    LadderError::Twice(index) => Problem::at(nodes[index].place, "the same action twice")
                        .hint("each step of a ladder is tried once"),
                    LadderError::IgnoreAndMore(index) => {
                        Problem::at(nodes[index].place, "`ignore` beside other actions").hint("it stands alone")
                    }
                };
                self.problem(problem);
                None
            }
        }
    }

    fn step(&mut self, node: &Node) -> Option<Step> {
        let (word, place, settings) = match &node.value {
            Value::Text(word) => (word, node.place, None),
            Value::Map(entries) if entries.len() == 1 => (&entries[0].0.text, entries[0].0.place, Some(&entries[0].1)),
            _ => {
                self.problem(node.unexpected("an action or a list of actions").hint(one_of("", Action::WORDS)));
                return None;
            }
        };
        let Ok(action) = word.parse::<Action>() else {
            self.problem(unknown("action", place, word, Action::WORDS));
            return None;
        };
        match (action, settings) {
            (Action::Signal, None) => self.refuse(place, "`signal` needs to know which one", "signal: HUP"),
            (Action::Command, None) => {
                self.refuse(place, "`command` needs to know what to run", "command: { run: [/usr/local/sbin/x] }")
            }
            (action, None) => Step::plain(action),
            (Action::Signal, Some(node)) => self.signals(node).map(Step::Signal),
            (Action::Command, Some(node)) => self.command(node).map(Step::Command),
            (Action::Ask, Some(node)) => self.ask(node),
            (Action::Notify, Some(node)) => self.notify(node),
            (_, Some(_)) => {
                self.problem(Problem::at(place, format!("`{word}` takes no settings")));
                None
            }
        }
    }

    fn refuse<T>(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.problem(Problem::at(place, message).hint(hint));
        None
    }

    fn ask(&mut self, node: &Node) -> Option<Step> {
        let told = self.problems.len();
        let mut deadline = None;
        for (AskKey::Deadline, _, value) in self.entries(node, "a map of settings", AskKey::WORDS) {
            deadline = self.duration(value, &DEADLINE_BOUNDS);
        }
        (self.problems.len() == told).then_some(Step::Ask { deadline })
    }

    fn notify(&mut self, node: &Node) -> Option<Step> {
        let told = self.problems.len();
        let mut terminal = Some(false);
        for (NotifyKey::Terminal, _, value) in self.entries(node, "a map of settings", NotifyKey::WORDS) {
            terminal = self.truth(value);
        }
        (self.problems.len() == told).then_some(Step::Notify { terminal: terminal? })
    }

    fn command(&mut self, node: &Node) -> Option<Program> {
        const FORM: &str = "run: [/absolute/path, argument]";
        let told = self.problems.len();
        let (mut run, mut deadline) = (None, None);
        for (key, _, value) in self.entries(node, "a map of run and deadline", CommandKey::WORDS) {
            match key {
                CommandKey::Run => run = self.arguments(value),
                CommandKey::Deadline => deadline = self.duration(value, &DEADLINE_BOUNDS),
            }
        }
        if self.problems.len() > told {
            return None;
        }
        match run {
            Some(run) => Some(Program { run, deadline }),
            None => self.refuse(node.place, "a command without `run`", FORM),
        }
    }

    /// A program and its arguments, as `execve` takes them.
    fn arguments(&mut self, node: &Node) -> Option<Vec<String>> {
        let Value::List(nodes) = &node.value else {
            self.problem(
                node.unexpected("a list of a program and its arguments").hint("there is no shell: [/usr/bin/x, y]"),
            );
            return None;
        };
        if nodes.is_empty() || nodes.len() > MOST_ARGUMENTS {
            return self.refuse(node.place, "not a program with arguments", format!("1 to {MOST_ARGUMENTS} of them"));
        }
        let mut all = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            match &node.value {
                Value::Text(text) if index == 0 && !text.starts_with('/') => {
                    self.problem(
                        Problem::at(node.place, "not an absolute path").hint("no folder is searched for programs"),
                    );
                }
                Value::Text(text) => all.push(text.clone()),
                Value::Number(number) if index > 0 => all.push(number.clone()),
                _ => self.problem(node.unexpected("text").hint("put it in quotes")),
            }
        }
        (all.len() == nodes.len()).then_some(all)
    }

    fn signals(&mut self, node: &Node) -> Option<Vec<Signalling>> {
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        if nodes.is_empty() || nodes.len() > MOST_SIGNALS {
            return self.refuse(node.place, "not a sequence of signals", format!("1 to {MOST_SIGNALS} of them"));
        }
        let all: Vec<_> = nodes.iter().map(|node| self.signalling(node)).collect();
        all.into_iter().collect()
    }

    fn signalling(&mut self, node: &Node) -> Option<Signalling> {
        if !matches!(node.value, Value::Map(_)) {
            let send = self.signal_name(node)?;
            return Some(Signalling { send, to: SignalTo::Main, until: SignalUntil::Sent, deadline: None });
        }
        let told = self.problems.len();
        let (mut send, mut to, mut until, mut deadline) = (None, Some(SignalTo::Main), Some(SignalUntil::Sent), None);
        for (key, _, value) in self.entries(node, "a map of send, to, until and deadline", SignalKey::WORDS) {
            match key {
                SignalKey::Send => send = self.signal_name(value),
                SignalKey::To => to = self.word(value, "value of to", SignalTo::WORDS),
                SignalKey::Until => until = self.word(value, "value of until", SignalUntil::WORDS),
                SignalKey::Deadline => deadline = self.duration(value, &DEADLINE_BOUNDS),
            }
        }
        if self.problems.len() > told {
            return None;
        }
        let Some(send) = send else {
            return self.refuse(node.place, "a signal without `send`", "send: USR2");
        };
        Some(Signalling { send, to: to?, until: until?, deadline })
    }

    fn signal_name(&mut self, node: &Node) -> Option<SignalName> {
        const NAMES: &str = "HUP, USR1, USR2, QUIT, TERM, WINCH, RTMIN+1, …";
        let Value::Text(text) = &node.value else {
            self.problem(node.unexpected("a signal's name").hint(NAMES));
            return None;
        };
        let printed = escape(text.as_bytes());
        match text.parse() {
            Ok(name) => Some(name),
            Err(SignalError::Unhandled) => {
                self.refuse(node.place, format!("{printed} can have no handler"), "asking never kills")
            }
            Err(SignalError::Unknown) => self.refuse(node.place, format!("unknown signal \"{printed}\""), NAMES),
        }
    }

    pub(super) fn windows(&mut self, node: &Node) -> Vec<WindowFragment> {
        let Value::Map(entries) = &node.value else {
            self.problem(node.unexpected("a map of windows by name"));
            return Vec::new();
        };
        entries.iter().filter_map(|(name, node)| self.window(name, node)).collect()
    }

    fn window(&mut self, name: &Key, node: &Node) -> Option<WindowFragment> {
        let told = self.problems.len();
        let (mut days, mut from, mut to, mut timezone) = (None, None, None, None);
        for (key, _, value) in self.entries(node, "a map of days, from, to and timezone", WindowKey::WORDS) {
            match key {
                WindowKey::Days => days = self.days(value),
                WindowKey::From => from = self.time(value),
                WindowKey::To => to = self.time(value),
                WindowKey::Timezone => timezone = Some(value),
            }
        }
        if name.text.trim().is_empty() || name.text.chars().any(char::is_control) {
            return self.refuse(name.place, "not a name for a window", "one word");
        }
        let zone = self.zone(node.place, timezone);
        if self.problems.len() > told {
            return None;
        }
        let (Some(from), Some(to)) = (from, to) else {
            return self.refuse(node.place, "a window without `from` and `to`", "from: \"02:00\", to: \"05:00\"");
        };
        let days = days.unwrap_or_else(|| Day::Mon.up_to(Day::Sun));
        let timezone = timezone.and_then(|node| match &node.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        });
        Some(WindowFragment { name: name.text.clone(), window: Window { days, from, to, timezone, zone: zone? } })
    }

    fn zone(&mut self, place: Place, timezone: Option<&Node>) -> Option<jiff::tz::TimeZone> {
        const FORM: &str = "a name of the time zone database: Europe/Berlin, UTC";
        let name = match timezone.map(|node| (&node.value, node)) {
            None => None,
            Some((Value::Text(text), _)) => Some(text.as_str()),
            Some((_, node)) => {
                self.problem(node.unexpected("a time zone").hint(FORM));
                return None;
            }
        };
        let place = timezone.map_or(place, |node| node.place);
        match ((self.zones)(name), name) {
            (Some(zone), _) => Some(zone),
            (None, Some(name)) => {
                self.refuse(place, format!("unknown time zone \"{}\"", escape(name.as_bytes())), FORM)
            }
            (None, None) => self.refuse(place, "the machine's time zone is not known", format!("timezone: {FORM}")),
        }
    }

    fn time(&mut self, node: &Node) -> Option<Time> {
        const FORM: &str = "hours and minutes in quotes: \"02:00\"; \"24:00\" is a day's end";
        match &node.value {
            Value::Text(text) => match time_of_day(text) {
                Some(time) => Some(time),
                None => self.refuse(node.place, format!("not a time of day: \"{}\"", escape(text.as_bytes())), FORM),
            },
            _ => {
                self.problem(node.unexpected("a time of day").hint(FORM));
                None
            }
        }
    }

    /// Days and spans of days: `mon`, `mon-fri`.
    fn days(&mut self, node: &Node) -> Option<Vec<Day>> {
        let spans = self.one_or_list(node, |reader, node| {
            let Value::Text(text) = &node.value else {
                reader.problem(node.unexpected("a day").hint("mon, mon-fri"));
                return None;
            };
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            match (first.parse::<Day>(), last.parse()) {
                (Ok(first), Ok(last)) => Some(first.up_to(last)),
                _ => {
                    reader.problem(unknown("day", node.place, text, Day::WORDS));
                    None
                }
            }
        })?;
        let mut days: Vec<Day> = spans.into_iter().flatten().collect();
        days.sort();
        days.dedup();
        Some(days)
    }
}
