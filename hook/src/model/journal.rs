//! An entry of the journal, as a value.

/// How urgent an entry is (syslog(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody must mend something.
    Error = 3,
    /// Something may be wrong.
    Warning = 4,
    /// Normal, and worth a look.
    Notice = 5,
    /// Normal.
    Info = 6,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `MESSAGE_ID`, as the catalogue explains it.
    pub id: &'static str,
    /// How urgent.
    pub priority: Priority,
    /// For people; may have several lines.
    pub message: String,
    /// For machines: names of capitals, digits and underscores; a name may come more than once.
    pub fields: Vec<(&'static str, String)>,
}

/// A datagram of a default socket buffer (`net.core.wmem_default`, 212,992 bytes) holds it for sure.
const MOST_MESSAGE: usize = 48 << 10;

impl Entry {
    /// In the native protocol (systemd's "Journal Native Protocol"): `NAME=value`, or the name, the
    /// value's length and the value where it has line breaks.
    pub fn datagram(&self) -> Vec<u8> {
        let mut message = self.message.as_str();
        if message.len() > MOST_MESSAGE {
            let end = (0..=MOST_MESSAGE).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
            message = &message[..end];
        }
        let mut out = Vec::new();
        let mut field = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            if value.contains('\n') {
                out.push(b'\n');
                out.extend_from_slice(&(value.len() as u64).to_le_bytes());
            } else {
                out.push(b'=');
            }
            out.extend_from_slice(value.as_bytes());
            out.push(b'\n');
        };
        field("MESSAGE", message);
        field("MESSAGE_ID", self.id);
        field("PRIORITY", &(self.priority as u8).to_string());
        field("SYSLOG_IDENTIFIER", "reexec");
        for (name, value) in &self.fields {
            field(name, value);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_can_be_taken_for_another_field() {
        let fields = vec![("REEXEC_OWNER", "a\nPRIORITY=0".to_owned())];
        let entry = Entry { id: "ab", priority: Priority::Info, message: "one".into(), fields };
        let expected = b"MESSAGE=one\nMESSAGE_ID=ab\nPRIORITY=6\nSYSLOG_IDENTIFIER=reexec\n\
            REEXEC_OWNER\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n";
        assert_eq!(entry.datagram(), expected);
    }

    #[test]
    fn an_endless_message_is_cut_between_letters() {
        let message = "\u{fc}".repeat(MOST_MESSAGE);
        let entry = Entry { id: "ab", priority: Priority::Info, message, fields: Vec::new() };
        assert!(entry.datagram().len() < MOST_MESSAGE + 200);
    }
}
