//! Where each value of a YAML text stands, and what YAML allows and a policy does not.
//!
//! `serde_yaml` keeps no places, so this second reader is asked for them. It also bounds what the
//! first one is given: depth, and the size that aliases blow up to.

use super::slips;
use crate::model::policy::{Place, Problem};
use crate::model::text::escape;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::collections::HashMap;

/// A policy is five levels deep; this leaves room and keeps every recursion shallow.
const MAX_DEPTH: usize = 32;

/// What the parser says of brackets nested deeper than it goes itself: it looks far ahead.
const FLOW_LIMIT: &str = "recursion limit exceeded";

/// Bytes of text in a file with its aliases written out, and [`VALUE_WEIGHT`] for each value.
const MAX_WEIGHT: usize = 4 << 20;

/// What a value weighs besides its text.
const VALUE_WEIGHT: usize = 16;

/// Problems told of one file; the rest follow from the first or are the same.
const MAX_PROBLEMS: usize = 50;

/// A value's place and shape.
#[derive(Debug, Clone)]
pub(super) struct Marked {
    pub place: Place,
    pub shape: Shape,
    /// Of itself and everything in it.
    weight: usize,
}

impl Marked {
    fn scalar(place: Place, text: String) -> Marked {
        let weight = VALUE_WEIGHT + text.len();
        Marked { place, shape: Shape::Scalar(text), weight }
    }
}

/// A value's shape; what a scalar means is `serde_yaml`'s to say.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Scalar(String),
    List(Vec<Marked>),
    Map(Vec<(String, Place, Marked)>),
}

/// Reads one document; `None` for a text without any value.
pub(super) fn read(text: &str) -> Result<Option<Marked>, Vec<Problem>> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let stop = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(syntax(text, &error)),
        };
        if let Err(problem) = stop {
            builder.problems.push(problem);
            break;
        }
        if builder.problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    if builder.problems.is_empty() {
        Ok(builder.root)
    } else {
        Err(builder.problems)
    }
}

#[derive(Debug, Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Marked>,
    root: Option<Marked>,
    documents: usize,
    weight: usize,
    problems: Vec<Problem>,
}

/// A list or map whose end has not come yet.
#[derive(Debug)]
struct Open {
    place: Place,
    anchor: usize,
    weight: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    List(Vec<Marked>),
    Map {
        entries: Vec<(String, Place, Marked)>,
        /// Line of each key's first occurrence.
        lines: HashMap<String, usize>,
        /// The key whose value comes next.
        key: Option<(String, Place)>,
    },
}

impl Content {
    fn map() -> Content {
        Content::Map { entries: Vec::new(), lines: HashMap::new(), key: None }
    }
}

impl Builder {
    /// Takes one event; an error is one after which nothing more can be said.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = place_of(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::at(place, "a second document").hint("a policy file is one document"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                if self.is_key_next() {
                    return self.key(&text, style, anchor, place);
                }
                let scalar = Marked::scalar(place, text.into_owned());
                self.count(scalar.weight, place)?;
                self.done(scalar, anchor);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                self.open(Content::List(Vec::new()), anchor, place)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                self.open(Content::map(), anchor, place)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, place)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn refuse_tag(&mut self, is_tagged: bool, place: Place) {
        if is_tagged {
            self.problems.push(Problem::at(place, "a tag").hint("`!` tags are not taken; quote a text with !"));
        }
    }

    fn is_key_next(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, text: &str, style: ScalarStyle, anchor: usize, place: Place) -> Result<(), Problem> {
        if anchor != 0 {
            self.anchors.insert(anchor, Marked::scalar(place, text.to_owned()));
        }
        if text == "<<" && style == ScalarStyle::Plain {
            let problem = Problem::at(place, "a merge key (<<)");
            self.problems.push(problem.hint("not taken: write the keys out"));
        }
        let Some(Open { content: Content::Map { lines, key, .. }, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        if let Some(line) = lines.insert(text.to_owned(), place.line) {
            let message = format!("key \"{}\" stands twice", shortened(text));
            self.problems.push(Problem::at(place, message).hint(format!("the first is on line {line}")));
        }
        *key = Some((text.to_owned(), place));
        self.count(VALUE_WEIGHT + text.len(), place)
    }

    fn open(&mut self, content: Content, anchor: usize, place: Place) -> Result<(), Problem> {
        if self.is_key_next() {
            return Err(Problem::at(place, "a key that is a list or a map"));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(too_deep(place));
        }
        self.open.push(Open { place, anchor, weight: VALUE_WEIGHT, content });
        self.count(VALUE_WEIGHT, place)
    }

    fn close(&mut self) {
        let Some(Open { place, anchor, weight, content }) = self.open.pop() else {
            return;
        };
        let shape = match content {
            Content::List(entries) => Shape::List(entries),
            Content::Map { entries, .. } => Shape::Map(entries),
        };
        self.done(Marked { place, shape, weight }, anchor);
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Problem> {
        if self.is_key_next() {
            return Err(Problem::at(place, "a key that is an alias"));
        }
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(Problem::at(place, "an alias inside what it stands for"));
        };
        // Counted before it is copied.
        let weight = target.weight;
        if self.weight + weight > MAX_WEIGHT {
            return Err(too_much(place));
        }
        if self.open.len() + depth(target) > MAX_DEPTH {
            return Err(too_deep(place));
        }
        let target = target.clone();
        self.done(target, 0);
        self.count(weight, place)
    }

    fn count(&mut self, weight: usize, place: Place) -> Result<(), Problem> {
        self.weight += weight;
        if self.weight > MAX_WEIGHT {
            return Err(too_much(place));
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn done(&mut self, value: Marked, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value);
            return;
        };
        open.weight += value.weight;
        match &mut open.content {
            Content::List(entries) => entries.push(value),
            Content::Map { entries, key, .. } => {
                if let Some((text, place)) = key.take() {
                    open.weight += VALUE_WEIGHT + text.len();
                    entries.push((text, place, value));
                }
            }
        }
    }
}

fn too_much(place: Place) -> Problem {
    Problem::at(place, "too much in one file").hint("its aliases, written out, are counted too")
}

fn too_deep(place: Place) -> Problem {
    Problem::at(place, format!("nested more than {MAX_DEPTH} levels deep"))
}

fn depth(value: &Marked) -> usize {
    match &value.shape {
        Shape::Scalar(_) => 1,
        Shape::List(entries) => 1 + entries.iter().map(depth).max().unwrap_or(0),
        Shape::Map(entries) => 1 + entries.iter().map(|(_, _, value)| depth(value)).max().unwrap_or(0),
    }
}

fn place_of(span: Span) -> Place {
    let (start, end) = (span.start, span.end);
    let width = if end.line() == start.line() { end.col().saturating_sub(start.col()) } else { 1 };
    Place { line: start.line(), column: start.col() + 1, width: width.max(1) }
}

/// Characters of a key that are printed: it may be a megabyte.
const SHOWN_CHARS: usize = 40;

fn shortened(text: &str) -> String {
    let printed = escape(text.as_bytes());
    if printed.chars().count() <= SHOWN_CHARS {
        return printed;
    }
    printed.chars().take(SHOWN_CHARS).chain(['…']).collect()
}

fn syntax(text: &str, error: &ScanError) -> Problem {
    let mark = error.marker();
    if error.info() == FLOW_LIMIT {
        let place = Place { line: mark.line(), column: mark.col() + 1, width: 1 };
        return too_deep(place);
    }
    slips::explain(text, mark.line(), mark.col() + 1, error.info())
}
