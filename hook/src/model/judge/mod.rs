//! The judge: from what was seen of files and processes to verdicts, by identity and never by text.

pub mod aside;
pub mod claims;
pub mod method;
pub mod process;
pub mod standing;
pub mod window;

pub use claims::{ClaimIndex, ClaimedFile};
pub use method::{method_of, method_since, Judged};
pub use process::{end_of_pages, in_question, judge_process, Candidate, Doubt, Named, Use, VerdictOf};
pub use standing::{Claimed, FileView, Sighting, Space, Standing};
pub use window::{mixed, Numbering, Window};
