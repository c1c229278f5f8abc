//! What asker and daemon say to each other, as `PROTOCOL.md` has it; pure.

use std::fmt;
use std::time::Duration;

/// What a message may have at most, in bytes.
pub const MAX_MESSAGE: usize = 512;
/// What a reason may have at most, in bytes; the rest is cut off.
pub const MAX_REASON: usize = 400;
/// How the name of a daemon's socket begins, without the NUL before it.
pub const NAME: &[u8] = b"reexec-client/1/";
/// Hexadecimal digits behind it.
pub const TOKEN_DIGITS: usize = 32;
/// How long a daemon lets somebody be connected who does not ask, and an asker waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

const HEAD: &str = "reexec 1 ";

/// What an asker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ask {
    /// How long it will wait for the daemon to have executed itself.
    pub within: Option<Duration>,
}

/// What a daemon answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It executes itself now, as soon as it is at a safe point.
    Will,
    /// It does so by itself, but not within the time that the asker waits; with the reason.
    Later(String),
    /// It does not; with the reason.
    No(String),
    /// It tried, and goes on running the old program; with the reason.
    Failed(String),
}

/// Why a message is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// More than [`MAX_MESSAGE`] bytes.
    TooLong,
    /// Bytes that are no UTF-8, or control characters.
    NotText,
    /// Another beginning than `reexec 1`.
    NotOurs,
    /// A word that this version does not know, at the place of the verb.
    UnknownVerb,
    /// A value that is no number.
    BadValue,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProtocolError::TooLong => "the message is longer than 512 bytes",
            ProtocolError::NotText => "the message is no plain text",
            ProtocolError::NotOurs => "the message does not begin with \"reexec 1\"",
            ProtocolError::UnknownVerb => "this is not known in version 1",
            ProtocolError::BadValue => "a value in the message is no number",
        })
    }
}

impl std::error::Error for ProtocolError {}

impl Ask {
    /// The message.
    pub fn message(&self) -> String {
        match self.within {
            None => format!("{HEAD}ask"),
            Some(within) => format!("{HEAD}ask within-ms={}", within.as_millis()),
        }
    }

    /// Reads a message. Keys that this version does not know are passed over.
    pub fn parse(message: &[u8]) -> Result<Ask, ProtocolError> {
        let mut words = text_of(message)?.split(' ');
        if words.next() != Some("ask") {
            return Err(ProtocolError::UnknownVerb);
        }
        let mut ask = Ask::default();
        for word in words {
            if let Some(("within-ms", number)) = word.split_once('=') {
                let number = number.parse().map_err(|_| ProtocolError::BadValue)?;
                ask.within = Some(Duration::from_millis(number));
            }
        }
        Ok(ask)
    }
}

impl Answer {
    /// The message. A reason is cut at [`MAX_REASON`], and its control characters become spaces.
    pub fn message(&self) -> String {
        let (verb, reason) = match self {
            Answer::Will => ("will", ""),
            Answer::Later(reason) => ("later", reason.as_str()),
            Answer::No(reason) => ("no", reason.as_str()),
            Answer::Failed(reason) => ("failed", reason.as_str()),
        };
        let plain: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut end = plain.len().min(MAX_REASON);
        while !plain.is_char_boundary(end) {
            end -= 1;
        }
        format!("{HEAD}{verb} {}", &plain[..end]).trim_end().to_owned()
    }

    /// Reads a message.
    pub fn parse(message: &[u8]) -> Result<Answer, ProtocolError> {
        let text = text_of(message)?;
        let (verb, reason) = text.split_once(' ').unwrap_or((text, ""));
        let reason = reason.to_owned();
        match verb {
            "will" => Ok(Answer::Will),
            "later" => Ok(Answer::Later(reason)),
            "no" => Ok(Answer::No(reason)),
            "failed" => Ok(Answer::Failed(reason)),
            _ => Err(ProtocolError::UnknownVerb),
        }
    }

    /// Whether the daemon may still have something to say on this connection.
    pub fn is_open(&self) -> bool {
        match self {
            Answer::Will | Answer::Later(_) => true,
            Answer::No(_) | Answer::Failed(_) => false,
        }
    }
}

/// What stands behind the common beginning.
fn text_of(message: &[u8]) -> Result<&str, ProtocolError> {
    if message.len() > MAX_MESSAGE {
        return Err(ProtocolError::TooLong);
    }
    let text = std::str::from_utf8(message).map_err(|_| ProtocolError::NotText)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.chars().any(char::is_control) {
        return Err(ProtocolError::NotText);
    }
    text.strip_prefix(HEAD).ok_or(ProtocolError::NotOurs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_written() {
        for within in [None, Some(Duration::ZERO), Some(Duration::from_secs(120))] {
            let ask = Ask { within };
            assert_eq!(Ask::parse(ask.message().as_bytes()), Ok(ask));
        }
    }

    #[test]
    fn questions_are_read_strictly_and_unknown_keys_passed_over() {
        let long = format!("reexec 1 ask {}", "x".repeat(MAX_MESSAGE));
        let ask = |within| Ok(Ask { within });
        for (message, expected) in [
            (&b"reexec 1 ask"[..], ask(None)),
            (b"reexec 1 ask\n", ask(None)),
            (b"reexec 1 ask within-ms=250 colour=blue x", ask(Some(Duration::from_millis(250)))),
            (b"reexec 1 ask within-ms=", Err(ProtocolError::BadValue)),
            (b"reexec 1 ask within-ms=-1", Err(ProtocolError::BadValue)),
            (b"reexec 1 ask within-ms=99999999999999999999", Err(ProtocolError::BadValue)),
            (b"reexec 1 asks", Err(ProtocolError::UnknownVerb)),
            (b"reexec 1 ", Err(ProtocolError::UnknownVerb)),
            (b"reexec 1", Err(ProtocolError::NotOurs)),
            (b"reexec 2 ask", Err(ProtocolError::NotOurs)),
            (b"GET / HTTP/1.1", Err(ProtocolError::NotOurs)),
            (b"", Err(ProtocolError::NotOurs)),
            (b"reexec 1 ask\n\n", Err(ProtocolError::NotText)),
            (b"reexec 1 ask\0", Err(ProtocolError::NotText)),
            (b"reexec 1 ask \x1b[31m", Err(ProtocolError::NotText)),
            (b"reexec 1 ask \xff", Err(ProtocolError::NotText)),
            (long.as_bytes(), Err(ProtocolError::TooLong)),
        ] {
            assert_eq!(Ask::parse(message), expected, "{}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let because = || "3 uploads run, 2 wait".to_owned();
        for answer in [Answer::Will, Answer::Later(because()), Answer::No(because()), Answer::Failed(String::new())] {
            assert_eq!(Answer::parse(answer.message().as_bytes()), Ok(answer));
        }
        assert_eq!(Answer::parse(b"reexec 1 perhaps"), Err(ProtocolError::UnknownVerb));
    }

    #[test]
    fn a_reason_is_made_plain_and_short() {
        let answer = Answer::No(format!("a\nb\t\u{85}{}", "ü".repeat(MAX_REASON)));
        let message = answer.message();
        assert!(message.starts_with("reexec 1 no a b  üü"), "{message}");
        assert!(message.len() <= MAX_MESSAGE && message.ends_with('ü'));
        assert!(Answer::parse(message.as_bytes()).is_ok());
    }
}
