//! What the scenarios share: the bed, victims, and the binary under test.
